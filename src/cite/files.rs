//! Which text each of the files to cite by has. Pure. A new one begins in `vault/public.rs` (`RootFile`), where its name
//! and its being public are decided; `verify/cite.rs` makes all of them again.

use super::{
    citation, croissant, datacite, datapackage, dataset_page, description::Description, ro_crate,
};
use crate::vault::public::RootFile;

/// The text of one of the files.
pub fn text(file: RootFile, of: &Description<'_>) -> String {
    match file {
        RootFile::DataCite => datacite::text(of),
        RootFile::Croissant => croissant::text(of),
        RootFile::RoCrate => ro_crate::text(of),
        RootFile::DataPackage => datapackage::text(of),
        RootFile::Citation => citation::text(of),
        RootFile::Page => dataset_page::text(of),
    }
}
