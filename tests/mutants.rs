//! The kit finds bugs: each one that is planted is caught by the case that is
//! named here, with these words, and the same case passes where none is planted.
//!
//! The cases are those about the backend alone, played in this process.

use std::collections::BTreeSet;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use mocker_conformance::harness::{self, Case};
use mocker_conformance::lane::{Ground, Lane};
use mocker_conformance::mutant::{Bug, Mutant};
use mocker_conformance::suites;
use mocker_core::backend::Driver;

/// A bug, what it is planted in, and what catches it.
struct Caught {
    bug: Bug,
    driver: Driver,
    /// The area of the case and its name.
    by: (&'static str, &'static str),
    /// A part of what the case says.
    saying: &'static str,
}

macro_rules! caught {
    ($($bug:ident in $backend:ident, by $area:ident $case:ident: $saying:literal;)*) => {
        static CAUGHT: &[Caught] = &[$(Caught {
            bug: Bug::$bug,
            driver: planted!($backend, $bug),
            by: (stringify!($area), stringify!($case)),
            saying: $saying,
        },)*];
    };
}

macro_rules! planted {
    ($backend:ident, $bug:ident) => {
        Driver {
            name: $backend::DRIVER.name,
            summary: "a sound backend with a bug",
            probe: $backend::DRIVER.probe,
            open: |root| Mutant::open(&$backend::DRIVER, root, Bug::$bug),
        }
    };
}

use mocker_backend_copy as copy;
use mocker_backend_overlay as overlay;

static SOUND: [Driver; 2] = [planted!(copy, None), planted!(overlay, None)];

caught! {
    LosesAttribute in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "user.mark";
    LosesAcl in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "posix_acl";
    LosesCapability in copy, by random seed_6: "security.capability";
    LosesSpecialBits in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "was file 4751";
    LosesOwner in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "70000:80000";
    TruncatesTimes in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "modified 981173106000000000";
    StampsDirectoriesEarly in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "modified 1000000001";
    BreaksLink in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "linked with";
    FollowsSymlink in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "was symlink";
    FillsHoles in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "data in blocks";
    LosesDevice in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "device 0x103";
    DropsFifo in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "/fifo is missing";
    DropsEmptyDirectory in copy, by nodes l1_what_was_written_is_what_the_layer_and_all_above_it_show: "/empty is missing";
    ForgetsWhiteout in overlay, by nodes c1_the_work_area_lives_on_with_its_tree_unchanged: "/link is new";

    NotFrozen in copy, by nodes l13_an_old_descriptor_never_reaches_the_layer: "the layer, seen before and after, is not";
    SharesFiles in copy, by nodes l14_two_work_areas_over_one_layer_do_not_see_each_other: "is not as it should be";
    IgnoresState in copy, by machine random_calls_0: "must fail as Unsupported";
    TouchesWork in copy, by nodes c1_the_work_area_lives_on_with_its_tree_unchanged: "the work area that lives on";
    ConsumeCopies in copy, by nodes l1_a_consume_copies_no_file_data: "it took";
    ConsumeLivesOn in copy, by nodes l1_a_consume_copies_no_file_data: "left: Some(WorkId";
    KeepsMountPoints in copy, by nodes d10_paths_of_the_engine_are_not_in_the_layer_unless_something_is_in_them: "/dev is new";
    KeepsUmask in copy, by nodes l10_the_top_is_0755_of_root_whatever_the_umask: "with the mask";

    ReusesNumber in copy, by nodes l2_a_number_in_use_is_refused_and_what_has_it_is_unchanged: "create was not refused";
    MakesUpLayer in copy, by nodes l4_what_does_not_exist_is_not_found_and_nothing_is_made: "create over";
    WrongKind in copy, by nodes l4_what_does_not_exist_is_not_found_and_nothing_is_made: "[NotFound] was expected, not Io";
    MeasuresNothing in copy, by nodes a4_what_does_not_exist_is_not_found: "is said to be there";
    DeletesOnce in copy, by nodes l4_what_does_not_exist_is_not_found_and_nothing_is_made: "does not exist";
    HandsOutLayer in copy, by nodes l12_a_layer_is_not_handed_out_for_writing: "a layer for writing";
    AdmitsAnything in copy, by nodes c11_room_that_is_not_there_is_refused: "too much";

    KeepsDeleted in copy, by nodes r11_a_deletion_walks_nothing_and_frees_the_number_at_once: "AlreadyExists";
    NeverReclaims in copy, by nodes r11_what_was_deleted_is_reclaimed_after_a_restart: "0 of 3";
    WalksToDelete in copy, by nodes r11_a_deletion_walks_nothing_and_frees_the_number_at_once: "walked";
    HidesHalfMade in copy, by half_made k1_what_a_crash_left_of_a_node_is_listed_and_goes: "a sweep would miss";
    ListsBackwards in copy, by half_made k1_nodes_are_listed_in_order: "NodeId(100), NodeId(10), NodeId(9)";
    ForgetsNode in copy, by machine random_calls_0: "it lists the nodes";
    MeasuresTwice in copy, by nodes a1_what_some_have_alone_and_what_the_others_hold_are_all_there_is: "do not make up the whole";
    ReadsToMeasure in copy, by nodes a3_asking_reads_no_contents_and_opens_nothing_beneath: "contents are read";

    ForgetsDeletions in overlay, by changes d15_seed_1: "in the whole trees";
    ForgetsNames in overlay, by changes d15_every_way_to_group_names_leads_to_every_other: "in the whole trees";
    LooksAtTimes in overlay, by changes d15_marks_of_an_overlay_hide_nothing: "C e xattr";
    ForgetsHidden in overlay, by changes d15_what_a_new_directory_hides_is_found: "D d/in";
    ForgetsLayers in overlay, by changes d15_what_a_new_directory_hides_is_found: "in the whole trees";
    NamesNothing in overlay, by changes d16_where_nothing_is_shared_every_place_is_named: "[]";
    TrustsForTooLong in copy, by changes d15_seed_1: "in the whole trees";
    SaysFrozen in copy, by changes d11_who_writes_meanwhile_writes_on_and_what_is_frozen_is: "said to be frozen was changed";
    MountsTwice in overlay, by changes d11_who_writes_meanwhile_writes_on_and_what_is_frozen_is: "mounted a second time";
    ObservesHost in copy, by changes a4_a_tree_that_does_not_exist_is_not_found: "observe was not refused";

    DeclaresExdev in copy, by random seed_1: "declared to be refused";
    DeclaresBreak in copy, by random seed_1: "is not as it should be";
    DeclaresKept in overlay, by random seed_1: "data in blocks";
    DeclaresChanges in copy, by changes d1_what_was_not_changed_is_looked_at_only_as_declared: "what was not changed is looked at";
    DeclaresConstant in copy, by nodes a2_a_fresh_work_area_costs_nothing_and_the_layer_beneath_no_more_than_before: "Usage { all: 16";
}

fn main() -> ExitCode {
    if let Err(error) = mocker_conformance::surroundings::clear(&[]) {
        panic!("cannot start over without the environment: {error}");
    }
    let mut arguments = Arguments::from_args();
    // Some of the cases stand no others beside them.
    arguments.test_threads = Some(1);
    // The cases panic to say what they found, which is looked at here.
    std::panic::set_hook(Box::new(|_| {}));
    let mut trials = vec![Trial::test("every_bug_is_in_the_table", every_bug)];
    let sound: BTreeSet<_> = CAUGHT.iter().map(|caught| (caught.driver.name, caught.by)).collect();
    for (backend, by) in sound {
        let name = format!("{backend}::passes::{}", by.1);
        trials.push(Trial::test(name, move || {
            let driver = SOUND.iter().find(|driver| driver.name == backend).ok_or("no such backend")?;
            harness::perform(lane(driver), case(by)?).map_err(Failed::from)
        }));
    }
    for caught in CAUGHT {
        let name = format!("{}::catches::{:?}", caught.driver.name, caught.bug);
        trials.push(Trial::test(name, || catch(caught)));
    }
    let ended = libtest_mimic::run(&arguments, trials);
    harness::remove_lanes();
    ended.exit_code()
}

fn catch(caught: &'static Caught) -> Result<(), Failed> {
    let Caught { bug, driver, by, saying } = caught;
    match harness::perform(lane(driver), case(*by)?) {
        Ok(()) => Err(format!("{} does not see it: {}", by.1, bug.says()).into()),
        Err(found) if found.contains(saying) => Ok(()),
        Err(found) => Err(format!("{} fails without '{saying}': {}\n{found}", by.1, bug.says()).into()),
    }
}

fn every_bug() -> Result<(), Failed> {
    let caught = |bug: &&Bug| CAUGHT.iter().any(|caught| caught.bug == **bug);
    let missing: Vec<_> = Bug::ALL.iter().filter(|bug| **bug != Bug::None && !caught(bug)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no case is named for {missing:?}").into()) }
}

/// All are on one file system.
fn lane(driver: &'static Driver) -> Lane {
    Lane::new("mutants", driver, Ground::Ext4)
}

fn case((area, name): (&str, &str)) -> Result<Case, String> {
    let areas = suites::areas();
    let cases = areas.iter().filter(|found| found.name == area).flat_map(|found| &found.cases);
    let found = cases.copied().find(|case| case.name == name);
    found.ok_or_else(|| format!("there is no case '{name}' in '{area}'"))
}
