//! Cuts the rights of the init stage down to what a container has.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::user::Identity;
use crate::{Error, Result, trace};

/// What Docker leaves to a container (moby `daemon/pkg/oci/caps/defaults.go`).
const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Becomes the user, with the default capabilities for root and none for
/// anybody else, and with no way to more.
///
/// The inheritable set is empty, as in Docker since 20.10.14: a filled one
/// would let a program that an image marks regain them (CVE-2022-24769).
///
/// Ids are set on the calling thread, which must be the only one. The kernel
/// forgets the parent-death signal in this (prctl(2)); the caller sets it again.
pub(super) fn give_up_rights(identity: &Identity) -> Result<()> {
    let failed = |what: &'static str| move |error: Errno| Error::io(format!("cannot {what}"), error);
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if DEFAULT.contains(capability) {
            continue;
        }
        match capability_is_in_bounding_set(capability) {
            Ok(false) => {}
            Ok(true) => remove_capability_from_bounding_set(capability)
                .map_err(failed("take a capability out of the bounding set"))?,
            // The first number that this kernel does not know.
            Err(_) => break,
        }
    }
    let permitted = capabilities(None).map_err(failed("read the capabilities"))?.permitted & DEFAULT;

    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups).map_err(failed("set the supplementary groups"))?;
    set_thread_res_gid(gid, gid, gid).map_err(failed("set the group id"))?;
    trace::kernel_call("setresuid(2)", format_args!("user {}, group {}", identity.uid, identity.gid), || {
        set_thread_res_uid(uid, uid, uid)
    })
    .map_err(failed("set the user id"))?;

    let kept = if uid.is_root() { permitted } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    trace::kernel_call("capset(2)", format_args!("{:#x}", kept.bits()), || set_capabilities(None, sets))
        .map_err(failed("set the capabilities"))?;
    clear_ambient_capability_set().map_err(failed("clear the ambient capabilities"))?;
    set_no_new_privs(true).map_err(failed("set no_new_privs"))
}
