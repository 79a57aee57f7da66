//! What a command must not have: rights, descriptors, namespaces and paths of
//! the host.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::{ground, living};

pub(super) fn cases() -> Vec<Case> {
    cases![
        the_capabilities_are_dockers_and_no_more_can_be_had,
        a_user_has_no_capabilities,
        the_namespaces_are_not_the_hosts,
        s4_no_descriptor_of_ours_or_of_the_caller_is_open_inside,
        s5_no_path_leads_to_the_hosts_program,
        no_path_leads_out_of_the_root,
        a_disk_of_the_host_cannot_be_opened,
        the_host_sees_no_mount_of_a_container,
    ]
}

/// What a shell script prints in a new container of `base`.
#[track_caller]
fn prints(fixture: &Fixture, options: &[&str], script: &str) -> String {
    fixture.ok(&[&["run", "--rm"], options, &["base", "sh", "-c", script]].concat())
}

const RIGHTS: &str = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr -d '\\t'";

/// moby's default set by the numbers of linux/capability.h: chown,
/// dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
/// net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap.
const DOCKERS: [u32; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

/// The five sets and the flag, as the kernel writes them.
fn rights(effective: u64, bounding: u64) -> String {
    format!(
        "CapInh:{none:016x}\nCapPrm:{effective:016x}\nCapEff:{effective:016x}\nCapBnd:{bounding:016x}\n\
         CapAmb:{none:016x}\nNoNewPrivs:1",
        none = 0
    )
}

fn the_capabilities_are_dockers_and_no_more_can_be_had(fixture: &Fixture) {
    // A program that its file marks with every capability, and one that is set-uid.
    // Busybox goes by its name, so each stands in a directory of its own.
    let top = fixture.rootfs();
    for name in ["marked", "setuid"] {
        std::fs::create_dir(top.join(name)).unwrap();
        std::fs::copy(top.join("bin/busybox"), top.join(name).join("busybox")).unwrap();
    }
    let marked = Command::new("setcap").arg("=eip").arg(top.join("marked/busybox")).status().unwrap();
    assert!(marked.success());
    std::fs::set_permissions(top.join("setuid/busybox"), Permissions::from_mode(0o4755)).unwrap();
    fixture.image("base");
    let dockers = DOCKERS.iter().map(|bit| 1 << bit).sum();
    assert_eq!(prints(fixture, &[], RIGHTS), rights(dockers, dockers));
    assert_eq!(
        prints(fixture, &[], &format!("/marked/busybox sh -c \"{RIGHTS}\"")),
        rights(dockers, dockers)
    );
    // Neither helps somebody who has none.
    for program in ["marked", "setuid"] {
        let script = format!("/{program}/busybox sh -c \"{RIGHTS}; id -u\"");
        assert_eq!(prints(fixture, &["-u", "7"], &script), rights(0, dockers) + "\n7", "{program}");
    }
}

fn a_user_has_no_capabilities(fixture: &Fixture) {
    fixture.image("base");
    let dockers = DOCKERS.iter().map(|bit| 1 << bit).sum();
    assert_eq!(prints(fixture, &["-u", "1000:1000"], RIGHTS), rights(0, dockers));
}

fn the_namespaces_are_not_the_hosts(fixture: &Fixture) {
    fixture.image("base");
    let inside =
        |name: &str, options: &[&str]| prints(fixture, options, &format!("readlink /proc/self/ns/{name}"));
    let ours = |name: &str| {
        std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().to_str().unwrap().to_owned()
    };
    for name in ["mnt", "uts", "ipc", "pid"] {
        assert_ne!(inside(name, &[]), ours(name), "{name}");
    }
    assert_ne!(inside("net", &["--network", "none"]), ours("net"));
    // Changes stay inside: no right to rename the host, and no message queue of it.
    let before = rustix::system::uname().nodename().to_owned();
    prints(fixture, &["--hostname", "inside"], "hostname other 2>/dev/null; :");
    assert_eq!(rustix::system::uname().nodename(), before.as_c_str());
}

fn s4_no_descriptor_of_ours_or_of_the_caller_is_open_inside(fixture: &Fixture) {
    fixture.image("base");
    // 3 is the directory that ls itself reads.
    assert_eq!(fixture.ok(&["run", "--rm", "base", "ls", "/proc/self/fd"]), "0\n1\n2\n3");
    // What the caller left open would lead out of the container (CVE-2024-21626).
    let script = "exec 7</ 9</etc/passwd; exec $mocker run --rm base ls /proc/self/fd";
    let ended = living::script(fixture, script);
    assert_eq!(ended.ok(), "0\n1\n2\n3");
}

fn s5_no_path_leads_to_the_hosts_program(fixture: &Fixture) {
    // What a program is started through can lead back to the engine's own file (CVE-2019-5736).
    let bin = fixture.rootfs().join("bin");
    std::os::unix::fs::symlink("/proc/self/exe", bin.join("way")).unwrap();
    std::fs::write(bin.join("script-way"), "#!/proc/self/exe\n").unwrap();
    std::fs::set_permissions(bin.join("script-way"), Permissions::from_mode(0o755)).unwrap();
    fixture.image("base");
    let program = Fixture::program();
    let identity = || {
        let meta = std::fs::metadata(&program).unwrap();
        (meta.len(), meta.ctime(), meta.ctime_nsec())
    };
    let before = identity();
    assert_eq!(prints(fixture, &[], "readlink /proc/1/exe"), "/bin/busybox");
    let overwrite =
        "for way in /proc/1/exe /proc/self/exe; do (echo x >> $way) 2>/dev/null && echo wrote; done; :";
    prints(fixture, &[], overwrite);
    for word in ["/proc/self/exe", "way", "script-way"] {
        // Whatever becomes of it: it runs inside, and the file outside stays.
        fixture.mocker(&["run", "--rm", "base", word, "--version"]).run();
    }
    assert_eq!(identity(), before, "the program on the host has changed");
    // Nor is it mounted anywhere inside.
    let mounts = prints(fixture, &[], "cat /proc/self/mountinfo");
    assert!(!mounts.contains(program.to_str().unwrap()), "{mounts}");
}

fn no_path_leads_out_of_the_root(fixture: &Fixture) {
    fixture.image("base");
    let witness = fixture.scratch().join("witness");
    std::fs::write(&witness, "of the host").unwrap();
    let script = "\
        cd ../../../../..; pwd; ls -d /proc/1/root/bin /proc/self/cwd/bin
        for way in / /.. /proc/1/root /proc/1/root/.. /proc/self/cwd/.. /dev/fd/../..; do \
            test -e $way$1 && echo out by $way; done
        mount -t proc proc /tmp 2>/dev/null && echo mounted
        unshare -m true 2>/dev/null && echo unshared
        nsenter -t 1 -m true 2>/dev/null && echo entered; :";
    let seen = fixture.ok(&["run", "--rm", "base", "sh", "-c", script, "x", witness.to_str().unwrap()]);
    let lines: Vec<_> = seen.lines().filter(|line| *line != "entered").collect();
    assert_eq!(lines, ["/", "/proc/1/root/bin", "/proc/self/cwd/bin"]);
}

fn a_disk_of_the_host_cannot_be_opened(fixture: &Fixture) {
    fixture.image("base");
    // The disk that the root lies on, by the numbers of its file system.
    let script = "mknod /disk b $1 $2 && mknod /dev/disk b $1 $2 && mknod /tmp/null c 1 3; \
        for node in /disk /dev/disk /tmp/null; do (head -c 1 < $node > /dev/null) 2>/dev/null && echo opened $node; done; :";
    let device = std::fs::metadata("/").unwrap().dev();
    let (major, minor) = (rustix::fs::major(device).to_string(), rustix::fs::minor(device).to_string());
    assert_eq!(fixture.ok(&["run", "--rm", "base", "sh", "-c", script, "x", &major, &minor]), "");
}

fn the_host_sees_no_mount_of_a_container(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--rm", "base", "true"]);
    let place: &Path = fixture.root();
    let before = ground::mounts_below(place);
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    assert_eq!(ground::mounts_below(place), before, "while it lives");
    living::end(fixture, job).ok();
    assert_eq!(ground::mounts_below(place), before, "when it has ended");
}
