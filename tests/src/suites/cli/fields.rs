//! The fields of [`Capabilities`] in words, for `docs/capabilities.md`.

use std::fmt::Debug;

use mocker_core::Capabilities;

/// A field of [`Capabilities`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Its name in the code.
    pub(super) name: &'static str,
    /// What it is about, as a sentence.
    pub(super) about: &'static str,
    /// Its values as [`Field::value`] writes them, the least first, and what
    /// each promises.
    pub(super) values: &'static [(&'static str, &'static str)],
    read: fn(&Capabilities) -> String,
}

impl Field {
    /// What a backend declares here.
    pub(super) fn value(&self, of: &Capabilities) -> String {
        (self.read)(of)
    }
}

fn word(value: impl Debug) -> String {
    format!("{value:?}")
}

/// Every field there is, in the order of the struct.
pub(super) static FIELDS: &[Field] = &[
    Field {
        name: "layers",
        about: "Whether a layer can be read alone.",
        values: &[
            ("Whole", "Every layer is a whole tree; its ancestors may be deleted."),
            ("Delta", "A layer holds the difference to the chain beneath, and needs it."),
        ],
        read: |of| word(of.layers),
    },
    Field {
        name: "views",
        about: "Whether root on the host can write to a layer that it is shown.",
        values: &[
            ("Plain", "It is a plain directory, and nothing but mocker's own care keeps root from it."),
            ("ReadOnly", "The kernel refuses every write, even root's."),
        ],
        read: |of| word(of.views),
    },
    Field {
        name: "commit_running",
        about: "What a commit of a container that runs can promise.",
        values: &[
            ("Stopped", "It is refused: only a stopped container can be committed."),
            ("Paused", "One instant of the tree, with the container paused meanwhile."),
            ("Atomic", "One instant of the file system, while the container runs on if it has to."),
        ],
        read: |of| word(of.commit_running),
    },
    Field {
        name: "commit_cost",
        about: "What a commit of a stopped container writes, beside records.",
        values: &[
            ("Tree", "The whole tree, as far as the file system cannot share it."),
            ("Constant", "No file data, however much was changed, once that is on the disk."),
        ],
        read: |of| word(of.commit_cost),
    },
    Field {
        name: "diff_cost",
        about: "What finding the changes of a container or of a version reads.",
        values: &[
            ("Tree", "Every entry of both trees."),
            ("Changes", "What was changed, and the directories that it lies in."),
        ],
        read: |of| word(of.diff_cost),
    },
    Field {
        name: "usage_exact",
        about: "Whether `mocker du` knows of every byte who else holds it.",
        values: &[
            ("false", "What files share by reflink counts once for each of them."),
            ("true", "It says what the file system charges, and what comes back."),
        ],
        read: |of| word(of.usage_exact),
    },
    Field {
        name: "nested",
        about: "What happens to volumes that a container made inside its own tree.",
        values: &[
            ("Impossible", "They cannot occur, and asking for them to be flattened is refused."),
            ("Copied", "The file system has some; a layer holds what is in them as directories."),
            ("Flattened", "A commit names and refuses them, and turns them into directories on request."),
        ],
        read: |of| word(of.nested),
    },
    Field {
        name: "reclaim",
        about: "Who frees the space of deleted nodes.",
        values: &[
            ("Backend", "`reclaim` does; mocker calls it in the background."),
            ("FileSystem", "The file system does, in the background; `reclaim` waits for it."),
        ],
        read: |of| word(of.reclaim),
    },
    Field {
        name: "max_depth",
        about: "How many layers a chain may hold.",
        values: &[
            ("a number", "More are refused before anything is made or mounted."),
            ("None", "Only space limits it."),
        ],
        read: |of| of.max_depth.map_or_else(|| word(of.max_depth), |most| most.to_string()),
    },
    Field {
        name: "rename_dir",
        about: "What renaming a directory does that a work area has from its chain.",
        values: &[
            (
                "Exdev",
                "It is refused with `EXDEV`, and `mv` copies it; one made in the work area is renamed.",
            ),
            ("Native", "It is renamed."),
        ],
        read: |of| word(of.rename_dir),
    },
    Field {
        name: "hardlink_copyup",
        about: "What the first change through one name of a file does that the chain holds under several.",
        values: &[
            ("Break", "The name becomes a file of its own; links made in the work area hold."),
            ("Keep", "All names show the change."),
        ],
        read: |of| word(of.hardlink_copyup),
    },
    Field {
        name: "sparse",
        about: "What the first change of a file from the chain does to its holes.",
        values: &[
            ("Filled", "They may be filled with zeros, where the file system cannot share data."),
            ("Kept", "They stay holes, block for block."),
        ],
        read: |of| word(of.sparse),
    },
    Field {
        name: "inode_stable",
        about: "Whether an inode number stays the same through the first change in a work area.",
        values: &[
            ("false", "It may become another."),
            ("true", "It stays, but for names that `hardlink_copyup` makes files of their own."),
        ],
        read: |of| word(of.inode_stable),
    },
    Field {
        name: "fd_coherent",
        about: "What a descriptor of a file from the chain shows of a change through a later one.",
        values: &[
            ("Stale", "What was there before."),
            ("Reads", "read(2) and inotify show the change; a mapping made before shows what was there."),
            ("Full", "The change, also in a mapping; inotify tells of it."),
        ],
        read: |of| word(of.fd_coherent),
    },
    Field {
        name: "overlay_marks",
        about: "What becomes of a device 0:0 and of attributes `trusted.overlay.…` that a container makes.",
        values: &[
            ("Refused", "Both are refused, the device with `EPERM`, the attributes with `EOPNOTSUPP`."),
            ("DeviceRefused", "The attributes are kept; the device is refused with `EPERM`."),
            ("Kept", "Both are kept like any other."),
        ],
        read: |of| word(of.overlay_marks),
    },
    Field {
        name: "copyup_unit",
        about: "What the first change of the content of a file from the chain writes beside it.",
        values: &[
            ("File", "The whole file."),
            ("Shared", "Records of the data that is shared."),
            ("Nothing", "Nothing."),
        ],
        read: |of| word(of.copyup_unit),
    },
    Field {
        name: "metadata_change_copies_data",
        about: "Whether the first change of mode, owner or attributes writes as much.",
        values: &[("true", "It does."), ("false", "It writes records alone.")],
        read: |of| word(of.metadata_change_copies_data),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_described_and_the_least_that_can_be_declared_comes_first() {
        let least = Capabilities::minimal();
        for field in FIELDS {
            if field.name != "max_depth" {
                assert_eq!(field.values[0].0, field.value(&least), "{}", field.name);
            }
        }
        // One that is new in the struct is described above too.
        let shown = format!("{least:?}");
        assert_eq!(shown.matches(": ").count(), FIELDS.len(), "{shown}");
        assert!(FIELDS.iter().all(|field| shown.contains(&format!("{}: ", field.name))), "{shown}");
    }
}
