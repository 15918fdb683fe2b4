//! How the user has set up git to show things. Nothing here is needed to do anything: what cannot be read is not set.

use super::settings::Settings;
use super::{Place, locate, prepare_libgit2};

/// What git's configuration says about showing.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    /// `core.pager`; empty means none.
    pub pager: Option<String>,
    /// `color.audit`, else `color.ui`, as written.
    pub color: Option<String>,
    /// `color.pager`, as written.
    pub color_in_pager: Option<String>,
}

impl Preferences {
    /// What is set for the repository at `place`; nothing is, where there is none.
    pub fn of(place: &Place) -> Self {
        prepare_libgit2();
        let opened = locate::open_repository(place);
        let settings = opened.and_then(|opened| Settings::of(&opened.main, &place.config));
        let Ok(settings) = settings else { return Self::default() };
        Self {
            pager: settings.text("core.pager"),
            color: settings.text("color.audit").or_else(|| settings.text("color.ui")),
            color_in_pager: settings.text("color.pager"),
        }
    }
}
