//! What has to be done at which CSE after a change of an original: a pure function of what is wanted and what is known
//! of the copies.

use std::collections::BTreeMap;

use super::state::{Copies, CopyState, Digests};
use crate::error::Error;
use crate::id::{CseIdentity, Seq};
use crate::schema::keys;
use crate::value::Text;

/// CSEs that one resource can be announced to.
pub(crate) const HOSTS_MAX: usize = 64;

/// Something to be done at another CSE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    /// Its copy is to become what the original says.
    Synchronize,
    /// The copy at that address is to go.
    Remove(Text),
    /// There may be a copy, of which it is not known where; it is to go. At or below that place, if one was named.
    Find(Option<Text>),
}

/// What a change comes to.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Derived {
    /// `at` as it is to be stored and shown.
    pub(crate) announce_to: Vec<Text>,
    pub(crate) copies: Copies,
    /// By host, in the order in which it is to be done.
    pub(crate) work: Vec<(Text, Work)>,
    /// Entries of the outbox that are needed no more.
    pub(crate) obsolete: Vec<Seq>,
}

/// The host in an entry of `at`, and the place there if the entry names more than the CSE.
fn target<'a>(entry: &'a str, identity: &CseIdentity) -> Option<(Text, Option<&'a str>)> {
    let host = identity.cse_id_of(entry).filter(|host| *host != identity.cse_id)?;
    let is_place = identity.canonical_originator(entry).as_str() != host;
    Some((host, is_place.then_some(entry)))
}

/// `at` as an originator may give it: entries that name no other CSE cannot succeed and are left out, as failed ones
/// are; one copy at each CSE is enough.
///
/// # Errors
/// [`Error::InvalidAttribute`] for more than [`HOSTS_MAX`] CSEs.
pub(crate) fn normalized<'a>(
    entries: impl Iterator<Item = &'a str>,
    copies: &Copies,
    identity: &CseIdentity,
) -> Result<Vec<Text>, Error> {
    let targets = targets(entries, identity);
    if targets.len() > HOSTS_MAX {
        let problem = format!("(announceTo) names {} CSEs; at most {HOSTS_MAX} are accepted", targets.len());
        return Err(Error::attribute(keys::ANNOUNCE_TO, problem));
    }
    let shown = |(host, place): (Text, Option<&str>)| {
        let known = copies.get(&host).filter(|state| is_kept(state, place));
        known.and_then(|state| state.address.clone()).unwrap_or_else(|| place.map_or(host, Text::from))
    };
    Ok(targets.into_iter().map(shown).collect())
}

fn targets<'a>(entries: impl Iterator<Item = &'a str>, identity: &CseIdentity) -> Vec<(Text, Option<&'a str>)> {
    let mut targets: Vec<(Text, Option<&str>)> = Vec::new();
    for (host, place) in entries.filter_map(|entry| target(entry, identity)) {
        if targets.iter().all(|(other, _)| *other != host) {
            targets.push((host, place));
        }
    }
    targets
}

/// Whether what `at` says of a host is what is known of the copy there: the CSE stands for wherever it is.
fn is_kept(state: &CopyState, place: Option<&str>) -> bool {
    place.is_none() || place == state.address.as_deref() || place == state.place.as_deref()
}

/// Derives what has to be done.
///
/// `wanted` is what a copy at a host is to have; `may_exist` whether an entry of the outbox was begun, so that it may have
/// had an effect.
pub(crate) fn derive<'a>(
    before: &Copies,
    announce_to: impl Iterator<Item = &'a str>,
    identity: &CseIdentity,
    wanted: impl Fn(&str) -> Digests,
    may_exist: impl Fn(&str, Seq) -> bool,
) -> Derived {
    let mut derived = Derived::default();
    let targets = targets(announce_to, identity);
    let wanted_places: BTreeMap<&str, Option<&str>> =
        targets.iter().map(|(host, place)| (host.as_str(), *place)).collect();
    for (host, state) in before {
        match wanted_places.get(host.as_str()) {
            Some(place) if is_kept(state, *place) => {}
            _ => withdraw(host, state, &may_exist, &mut derived),
        }
    }
    for (host, place) in &targets {
        let known = before.get(host).filter(|state| is_kept(state, *place));
        let state =
            known.cloned().unwrap_or_else(|| CopyState { place: place.map(Text::from), ..CopyState::default() });
        let is_current = state.address.is_some() && state.content == wanted(host);
        if !is_current && state.entry.is_none() {
            derived.work.push((host.clone(), Work::Synchronize));
        }
        derived.announce_to.push(state.shown(host));
        derived.copies.insert(host.clone(), state);
    }
    derived
}

/// Derives what has to be done when an original goes.
pub(crate) fn derive_end(before: &Copies, may_exist: impl Fn(&str, Seq) -> bool) -> Derived {
    let mut derived = Derived::default();
    for (host, state) in before {
        withdraw(host, state, &may_exist, &mut derived);
    }
    derived
}

fn withdraw(host: &Text, state: &CopyState, may_exist: &impl Fn(&str, Seq) -> bool, derived: &mut Derived) {
    derived.obsolete.extend(state.entry);
    if let Some(address) = &state.address {
        derived.work.push((host.clone(), Work::Remove(address.clone())));
    } else if state.entry.is_some_and(|entry| may_exist(host, entry)) {
        derived.work.push((host.clone(), Work::Find(state.place.clone())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CseType;

    fn identity() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-mn", "cse-mn", CseType::Mn).expect("valid")
    }

    fn content(digest: i64) -> Digests {
        Digests::from([("lbl".into(), digest)])
    }

    /// A copy that is where it says, with that content.
    fn copy(address: &str, digest: i64) -> CopyState {
        CopyState { address: Some(address.into()), content: content(digest), ..CopyState::default() }
    }

    fn pending(entry: i64) -> CopyState {
        CopyState { entry: Some(Seq(entry)), ..CopyState::default() }
    }

    fn known(state: CopyState) -> Copies {
        Copies::from([("/id-in".into(), state)])
    }

    /// What follows if a copy is to have the content 1, and entries up to 5 were begun.
    fn derived(before: &Copies, announce_to: &[&str]) -> Derived {
        derive(before, announce_to.iter().copied(), &identity(), |_| content(1), |_, entry| entry <= Seq(5))
    }

    fn work(derived: &Derived) -> Vec<(&str, Work)> {
        derived.work.iter().map(|(host, work)| (host.as_str(), work.clone())).collect()
    }

    #[test]
    fn what_has_to_be_done_follows_from_what_is_wanted_and_known() {
        let remove = |address: &str| ("/id-in", Work::Remove(address.into()));
        let synchronize = ("/id-in", Work::Synchronize);
        let at_place = CopyState { place: Some("/id-in/x".into()), ..pending(3) };
        for (before, announce_to, expected, shown) in [
            (Copies::new(), &[][..], vec![], &[][..]),
            (Copies::new(), &["/id-in"], vec![synchronize.clone()], &["/id-in"]),
            (Copies::new(), &["//cse.example/id-in"], vec![synchronize.clone()], &["/id-in"]),
            (Copies::new(), &["/id-in/x"], vec![synchronize.clone()], &["/id-in/x"]),
            (Copies::new(), &["/id-in/x", "/id-in"], vec![synchronize.clone()], &["/id-in/x"]),
            (Copies::new(), &["/id-mn", "cse-mn/a", "nonsense"], vec![], &[]),
            (known(pending(3)), &["/id-in"], vec![], &["/id-in"]),
            (known(copy("/id-in/a", 1)), &["/id-in"], vec![], &["/id-in/a"]),
            (known(copy("/id-in/a", 1)), &["/id-in/a"], vec![], &["/id-in/a"]),
            (known(copy("/id-in/a", 2)), &["/id-in/a"], vec![synchronize.clone()], &["/id-in/a"]),
            (known(copy("/id-in/a", 1)), &[], vec![remove("/id-in/a")], &[]),
            (known(copy("/id-in/a", 1)), &["/id-in/b"], vec![remove("/id-in/a"), synchronize.clone()], &["/id-in/b"]),
            (known(pending(5)), &[], vec![("/id-in", Work::Find(None))], &[]),
            (known(pending(6)), &[], vec![], &[]),
            (known(at_place.clone()), &["/id-in/x"], vec![], &["/id-in/x"]),
            (known(at_place), &[], vec![("/id-in", Work::Find(Some("/id-in/x".into())))], &[]),
        ] {
            let derived = derived(&before, announce_to);
            assert_eq!(work(&derived), expected, "{announce_to:?} after {before:?}");
            assert_eq!(derived.announce_to, shown, "{announce_to:?} after {before:?}");
            assert_eq!(derived.copies.len(), shown.len());
        }
    }

    #[test]
    fn entries_for_copies_that_are_not_wanted_any_more_are_obsolete() {
        assert_eq!(derived(&known(pending(6)), &[]).obsolete, [Seq(6)]);
        assert_eq!(derived(&known(pending(6)), &["/id-in"]).obsolete, []);
        let end = derive_end(&known(CopyState { entry: Some(Seq(7)), ..copy("/id-in/a", 1) }), |_, _| true);
        assert_eq!((end.obsolete, work_of(&end.work)), (vec![Seq(7)], vec![Work::Remove("/id-in/a".into())]));
    }

    fn work_of(work: &[(Text, Work)]) -> Vec<Work> {
        work.iter().map(|(_, work)| work.clone()).collect()
    }

    #[test]
    fn a_list_of_targets_has_one_place_at_each_cse_and_an_end() {
        let normalized = |entries: &[&str], copies: &Copies| {
            normalized(entries.iter().copied(), copies, &identity()).map_err(|error| error.to_string())
        };
        let known = known(copy("/id-in/a", 1));
        let both = normalized(&["/id-in", "/id-other", "/id-in/b", "/id-mn/x"], &known);
        assert_eq!(both.as_deref(), Ok(&["/id-in/a".into(), "/id-other".into()][..]));
        let many: Vec<String> = (0..=HOSTS_MAX).map(|number| format!("/id-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(normalized(&many[1..], &known).map(|targets| targets.len()), Ok(HOSTS_MAX));
        assert!(normalized(&many, &known).is_err_and(|problem| problem.contains("at most 64")));
    }
}
