//! What mutants do wrong, each in a sentence.

/// Defines the bugs, with the sentence that each has in its documentation.
macro_rules! bugs {
    ($(#[doc = $says:literal] $bug:ident,)*) => {
        /// What a backend does wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Bug {
            $(#[doc = $says] $bug,)*
        }

        impl Bug {
            /// All of them, and [`Bug::None`].
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// What is wrong, in a sentence.
            pub fn says(self) -> &'static str {
                match self { $(Self::$bug => $says.trim_ascii(),)* }
            }
        }
    };
}

bugs! {
    /// Nothing is wrong: what the cases must let through.
    None,

    /// A layer has lost its user attributes.
    LosesAttribute,
    /// A layer has lost its access control lists.
    LosesAcl,
    /// A layer has lost the capabilities of its programs, as by a late chown.
    LosesCapability,
    /// A layer has lost the set-user-id, set-group-id and sticky bits.
    LosesSpecialBits,
    /// Everything in a layer belongs to root.
    LosesOwner,
    /// Times in a layer are whole seconds.
    TruncatesTimes,
    /// Directories got their times before what is in them, and so have others.
    StampsDirectoriesEarly,
    /// The names of one file became files of their own.
    BreaksLink,
    /// What a symlink leads to is in its place.
    FollowsSymlink,
    /// Holes were written as zeros.
    FillsHoles,
    /// A device has lost its number.
    LosesDevice,
    /// FIFOs are passed over.
    DropsFifo,
    /// Directories with nothing in them are passed over.
    DropsEmptyDirectory,
    /// What was deleted in a work area is there again in its layer.
    ForgetsWhiteout,

    /// A layer has the files of the work area that lives on, as hard links.
    NotFrozen,
    /// A new work area has the files of its layer, as hard links.
    SharesFiles,
    /// A snapshot changes the time of the work area that lives on.
    TouchesWork,
    /// A snapshot is made while somebody writes, which is not declared.
    IgnoresState,
    /// A work area that ends is copied.
    ConsumeCopies,
    /// A work area that ended is said to live on.
    ConsumeLivesOn,
    /// Mount points of the engine get into the layer.
    KeepsMountPoints,
    /// The top of a new tree has the mode that the mask of the caller leaves.
    KeepsUmask,

    /// A node is made where there is one already.
    ReusesNumber,
    /// Over a layer that is not there, an empty work area is made.
    MakesUpLayer,
    /// What does not exist is an unknown failure.
    WrongKind,
    /// What does not exist occupies nothing.
    MeasuresNothing,
    /// A deletion of what does not exist is an error.
    DeletesOnce,
    /// A layer is handed out for writing.
    HandsOutLayer,
    /// There is always room.
    AdmitsAnything,

    /// What was deleted is still there.
    KeepsDeleted,
    /// The space of what was deleted never comes back.
    NeverReclaims,
    /// A deletion walks through the whole tree.
    WalksToDelete,
    /// A node without a tree is not listed.
    HidesHalfMade,
    /// Nodes are listed in no order.
    ListsBackwards,
    /// The newest node is not listed any more once the backend is opened again.
    ForgetsNode,
    /// Measuring reads every file.
    ReadsToMeasure,
    /// What several nodes hold together counts once for each.
    MeasuresTwice,

    /// What was deleted is not named as changed.
    ForgetsDeletions,
    /// Of the names of a changed file one is named.
    ForgetsNames,
    /// What has its old size, owner, mode and time is not named.
    LooksAtTimes,
    /// What a new directory hides is not named.
    ForgetsHidden,
    /// What layers between the two hold is not named.
    ForgetsLayers,
    /// Where no layer is shared, nothing is named.
    NamesNothing,
    /// Everything is said to have been equal until now.
    TrustsForTooLong,
    /// A tree in which somebody writes is said to be frozen.
    SaysFrozen,
    /// What is written to is to be mounted a second time.
    MountsTwice,
    /// Where there is no tree, the host's is looked at.
    ObservesHost,

    /// Renames of directories are declared to be refused, and are done.
    DeclaresExdev,
    /// Hard links are declared to break, and hold.
    DeclaresBreak,
    /// Holes are declared to stay, and are filled.
    DeclaresKept,
    /// A commit is declared to cost the same always, and copies the tree.
    DeclaresConstant,
    /// Only what was changed is declared to be looked at, and everything is.
    DeclaresChanges,
}
