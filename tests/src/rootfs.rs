//! A small root file system out of the machine's own static busybox.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Where distributions put it.
const PLACES: [&str; 4] = ["/bin/busybox", "/usr/bin/busybox", "/usr/sbin/busybox", "/sbin/busybox"];

/// Mallory is somebody who may log in, and has no rights.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n\
                      mallory:x:4711:4711::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// Fills an empty directory.
pub(crate) fn build(top: &Path) {
    let busybox = PLACES
        .iter()
        .find(|place| Path::new(place).exists())
        .expect("a static busybox is needed: 'make test' installs it");
    for directory in ["bin", "etc", "tmp", "root", "var", "home"] {
        std::fs::create_dir(top.join(directory)).expect("make a directory");
    }
    std::fs::set_permissions(top.join("tmp"), std::fs::Permissions::from_mode(0o1777)).expect("set a mode");
    std::fs::copy(busybox, top.join("bin/busybox")).expect("copy busybox");
    let list = Command::new(busybox).arg("--list").output().expect("list the applets of busybox").stdout;
    for applet in String::from_utf8_lossy(&list).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", top.join("bin").join(applet)).expect("make a link");
    }
    std::fs::write(top.join("etc/passwd"), PASSWD).expect("write a file");
    std::fs::write(top.join("etc/group"), GROUP).expect("write a file");
}
