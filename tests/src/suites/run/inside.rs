//! What a command sees inside: processes, devices, the kernel's views, the
//! network.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

pub(super) fn cases() -> Vec<Case> {
    cases![
        the_command_is_process_1_and_sees_no_other,
        the_devices_are_there_and_work,
        terminals_shared_memory_and_queues_are_the_containers_own,
        sys_is_read_only,
        proc_lets_nobody_change_the_host,
        network_none_has_nothing_but_lo,
        network_host_is_the_hosts,
        the_hosts_names_are_known_inside,
    ]
}

/// What a shell script prints in a new container of `base`.
#[track_caller]
fn prints(fixture: &Fixture, options: &[&str], script: &str) -> String {
    fixture.ok(&[&["run", "--rm"], options, &["base", "sh", "-c", script]].concat())
}

fn the_command_is_process_1_and_sees_no_other(fixture: &Fixture) {
    fixture.image("base");
    assert_eq!(
        prints(fixture, &[], "echo $$ $PPID; tr '\\0' ' ' < /proc/1/cmdline | cut -c -5"),
        "1 0\nsh -c"
    );
    // The list is made by process 1 itself.
    assert_eq!(prints(fixture, &[], "cd /proc; echo [0-9]*"), "1");
    assert_eq!(fixture.ok(&["run", "--rm", "base", "readlink", "/proc/self"]), "1");
}

fn the_devices_are_there_and_work(fixture: &Fixture) {
    fixture.image("base");
    let expected = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(prints(fixture, &[], "cd /dev; echo *"), expected);
    let script = "\
        echo x > /dev/null && head -c 2 /dev/zero | od -An -tx1
        head -c 16 /dev/random | wc -c; head -c 70000 /dev/urandom | wc -c
        echo x 2>&1 > /dev/full && echo written || echo full
        stat -c '%n %a %t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty
        echo through > /dev/stdout; echo piped | cat /dev/stdin";
    let expected = " 00 00\n16\n70000\nfull\n\
        /dev/null 666 1:3\n/dev/zero 666 1:5\n/dev/full 666 1:7\n/dev/random 666 1:8\n/dev/urandom 666 1:9\n\
        /dev/tty 666 5:0\nthrough\npiped";
    let ended = fixture.mocker(&["run", "--rm", "base", "sh", "-c", script]).run();
    let printed: Vec<_> =
        ended.out().lines().filter(|line| !line.contains("No space")).map(str::to_owned).collect();
    assert_eq!(printed.join("\n"), expected.trim_start(), "{}", ended.err());
    // Nobody inside changes a device of the host.
    let script =
        "chmod 600 /dev/null 2>/dev/null && echo changed; chown 1 /dev/zero 2>/dev/null && echo changed; :";
    assert_eq!(prints(fixture, &[], script), "");
}

fn terminals_shared_memory_and_queues_are_the_containers_own(fixture: &Fixture) {
    fixture.image("base");
    let script =
        "cd /dev; ls pts; ls -A shm mqueue | tr -s '\\n'; echo x > shm/mine && cat shm/mine; stat -c %a shm";
    assert_eq!(prints(fixture, &[], script), "ptmx\nmqueue:\nshm:\nx\n1777");
    // A terminal can be made: the master opens, and its slave shows up in the directory.
    assert_eq!(prints(fixture, &[], "exec 7<> /dev/ptmx && ls /dev/pts"), "0\nptmx");
}

fn sys_is_read_only(fixture: &Fixture) {
    fixture.image("base");
    let script = "ls -d /sys/kernel; \
        for file in /sys/kernel/mm/transparent_hugepage/enabled /sys/power/state /sys/new; do \
            (echo x > $file) 2>/dev/null && echo wrote $file; done; \
        mount -o remount,rw /sys 2>/dev/null && echo remounted; ls /sys/firmware | wc -l";
    assert_eq!(prints(fixture, &[], script), "/sys/kernel\n0");
}

fn proc_lets_nobody_change_the_host(fixture: &Fixture) {
    fixture.image("base");
    let before = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let script = "\
        for file in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger /proc/irq/x /proc/latency_stats; do \
            (echo x > $file) 2>/dev/null && echo wrote $file; done
        for file in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/interrupts; do \
            test -s $file && head -c 1 $file 2>/dev/null | grep -q . && echo read $file; done
        ls /proc/acpi /proc/scsi 2>/dev/null | grep -v : | wc -l
        umount /proc/sys 2>/dev/null && echo unmounted; :";
    assert_eq!(prints(fixture, &[], script), "0");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
}

fn network_none_has_nothing_but_lo(fixture: &Fixture) {
    fixture.image("base");
    let script = "ls /sys/class/net; tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' '; \
        ping -c 1 -w 5 127.0.0.1 > /dev/null && echo reached; cat /etc/resolv.conf; grep -c localhost /etc/hosts";
    assert_eq!(prints(fixture, &["--network", "none"], script), "lo\nlo\nreached\n2");
}

fn network_host_is_the_hosts(fixture: &Fixture) {
    fixture.image("base");
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    for options in [&[][..], &["--network", "host"]] {
        assert_eq!(prints(fixture, options, "readlink /proc/self/ns/net"), own.to_str().unwrap());
    }
}

fn the_hosts_names_are_known_inside(fixture: &Fixture) {
    fixture.image("base");
    for file in ["/etc/resolv.conf", "/etc/hosts"] {
        let own = std::fs::read_to_string(file).unwrap_or_default();
        let seen = prints(fixture, &[], &format!("cat {file}"));
        for line in own.lines().filter(|line| !line.trim().is_empty()) {
            assert!(seen.contains(line.trim()), "{file} lacks {line:?}: {seen}");
        }
    }
}
