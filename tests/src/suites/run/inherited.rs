//! What a command must not inherit from the one who called: ignored signals, a
//! umask, a place that is gone.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        a_program_that_writes_to_nobody_dies_of_sigpipe,
        no_signal_is_ignored_or_held_back_inside,
        l10_the_umask_of_the_caller_changes_nothing,
        a_caller_may_stand_in_a_directory_that_is_gone,
        an_input_from_nowhere_is_empty,
    ]
}

fn a_program_that_writes_to_nobody_dies_of_sigpipe(fixture: &Fixture) {
    fixture.image("base");
    // Process 1 is spared by the kernel, and tells of the other.
    let script = "{ $mocker run --name work base sh -c 'yes; echo yes: $? >&2'; echo $? >&2; } | head -c 4";
    let ended = living::script(fixture, script);
    assert_eq!(String::from_utf8_lossy(&ended.out), "y\ny\n");
    assert_eq!(ended.err, "yes: 141\n0\n");
    assert_eq!(fixture.record("work").unwrap()["exit_code"], 0);
    fixture.assert_consistent();
}

fn no_signal_is_ignored_or_held_back_inside(fixture: &Fixture) {
    fixture.image("base");
    let script =
        "trap '' HUP INT PIPE USR1; exec $mocker run --rm base grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status";
    let seen = living::script(fixture, script).ok();
    // 32 and 33 are the C library's own; whoever starts a program by its posix_spawn(3) has them ignored.
    let others = !(0b11 << 31);
    for line in seen.lines() {
        let (name, signals) = line.split_once(":\t").unwrap();
        assert_eq!(u64::from_str_radix(signals, 16).unwrap() & others, 0, "{name}: {signals}");
    }
    assert_eq!(seen.lines().count(), 3, "{seen}");
}

fn l10_the_umask_of_the_caller_changes_nothing(fixture: &Fixture) {
    let source = fixture.rootfs();
    for umask in ["077", "000"] {
        let script = format!(
            "umask {umask}; $mocker init --name base {}; \
            $mocker run --name work base sh -c 'umask; : > /file; mkdir /dir; stat -c %a / /file /dir /dev /dev/shm'; \
            $mocker run --rm -u 1000:1000 base sh -c 'ls -d /etc/passwd; cat /etc/hosts > /dev/null && echo read'; \
            $mocker commit work made",
            source.display()
        );
        let said = living::script(fixture, &script).ok();
        let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("Created: ")).collect();
        assert_eq!(
            lines,
            ["0022", "755", "644", "755", "755", "1777", "/etc/passwd", "read"],
            "umask {umask}"
        );
        oracle::assert_same(&source, &fixture.tree("base"));
        oracle::assert_same(&fixture.tree("work"), &fixture.tree("made"));
        fixture.ok(&["rm", "work"]);
    }
}

fn a_caller_may_stand_in_a_directory_that_is_gone(fixture: &Fixture) {
    fixture.image("base");
    let script = "mkdir \"$MOCKER_ROOT.here\"; cd \"$MOCKER_ROOT.here\"; rmdir \"$MOCKER_ROOT.here\"; \
        $mocker run --rm base pwd; $mocker run --rm base ls -d bin";
    assert_eq!(living::script(fixture, script).ok(), "/\nbin");
}

fn an_input_from_nowhere_is_empty(fixture: &Fixture) {
    fixture.image("base");
    for input in ["< /dev/null", "<&-"] {
        let script =
            format!("$mocker run --rm base sh -c 'wc -c; test -c /dev/stdin && echo device' {input}");
        assert_eq!(living::script(fixture, &script).ok(), "0\ndevice", "{input}");
    }
}
