//! The specializations of `<flexContainer>` (TS-0023, TS-0004 annex J), one file for each domain.
//!
//! Written by `schema-gen/generate.py`.

mod agd;
mod cid;
mod cod_1;
mod cod_2;
mod cod_3;
mod cod_4;
mod cod_5;
mod hed;
mod hod;
mod m2m;
mod mad;
mod mdd;
mod psd;
mod rad;
mod ved;

use super::definition::SpecializationDef;

/// All specializations.
pub(super) static SPECIALIZATIONS: &[&[SpecializationDef]] = &[
    agd::SPECIALIZATIONS,
    cid::SPECIALIZATIONS,
    cod_1::SPECIALIZATIONS,
    cod_2::SPECIALIZATIONS,
    cod_3::SPECIALIZATIONS,
    cod_4::SPECIALIZATIONS,
    cod_5::SPECIALIZATIONS,
    hed::SPECIALIZATIONS,
    hod::SPECIALIZATIONS,
    m2m::SPECIALIZATIONS,
    mad::SPECIALIZATIONS,
    mdd::SPECIALIZATIONS,
    psd::SPECIALIZATIONS,
    rad::SPECIALIZATIONS,
    ved::SPECIALIZATIONS,
];
