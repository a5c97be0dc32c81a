//! The one place that tells aya that a type of `netd_common::abi` is plain bytes.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A map key or value as its bytes. `netd_common` knows no aya, aya no zerocopy; this joins them.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Raw<T>(pub T);

// SAFETY: aya reads a `Pod` from bytes that the kernel wrote and hands its bytes to the kernel.
// `FromBytes`: every bit pattern is a `T`. `IntoBytes`: `T` has no padding, so no uninitialised
// byte is read. `Immutable`: no interior mutability behind the shared reference. `Raw` is
// transparent, so all of this holds for it too; `Copy + 'static`: it owns nothing, borrows nothing.
unsafe impl<T> aya::Pod for Raw<T> where T: FromBytes + IntoBytes + Immutable + Copy + 'static {}
