//! Tells the IN-CSE when AEs with an S-type AE-ID are registered here no more (TS-0004 §7.4.5.2.4).
//!
//! What an entry of the outbox asks for is that the record at the IN-CSE says what is the case here when the entry's
//! turn comes. So an AE that has registered again in the meantime is not told to be gone.

use super::send::Again;
use super::{RECORD, TARGET};
use crate::error::Error;
use crate::id::Seq;
use crate::op::{s_record, s_type};
use crate::overlay::Effects;
use crate::ports::{OutboxEntry, Store};
use crate::primitive::{Request, Response};
use crate::schema::Ty;
use crate::value::{Map, Text};
use crate::view::{View, WriteSource};

/// Adds to the effects of a change what has to be told of the AEs that it registers or deregisters.
pub(super) async fn settle<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    effects: &mut Effects,
) -> Result<(), Error> {
    if !s_type::are_given_above(view.settings) {
        return Ok(());
    }
    let gone: Vec<Seq> = effects.deleted.iter().filter(|gone| gone.ty == Ty::AE).map(|gone| gone.seq).collect();
    let mut stems: Vec<(Text, Seq)> = Vec::new();
    for seq in gone {
        stems.extend(view.node(seq).await?.map(|node| (node.id.clone(), seq)));
    }
    // That it is gone may be about to be told since its last registration; then that it is back comes after that.
    let waits = view.source.announce.waiting() + view.source.overlay.announcements.len() + effects.announcements.len();
    if waits > 0 {
        let new = effects.inserted.iter().filter(|node| node.ty == Ty::AE);
        stems.extend(new.map(|node| (node.id.clone(), node.seq)));
    }
    for (stem, seq) in stems {
        leave(view, &stem, seq, effects).await?;
    }
    Ok(())
}

/// Has the record of a stem say what is here, soon.
pub(crate) async fn leave<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    stem: &Text,
    original: Seq,
    effects: &mut Effects,
) -> Result<(), Error> {
    if !s_type::is_given_above(view.settings, stem) {
        return Ok(());
    }
    let Some(host) = s_type::in_cse(view).await? else {
        return Ok(());
    };
    let waiting = view.source.overlay.announcements.len() + effects.announcements.len();
    if !view.source.announce.admits(waiting + 1) {
        view.source.metrics.announcements_dropped.increment();
        tracing::warn!(%host, ae = %stem, "that an AE is gone is not told; too much waits");
        return Ok(());
    }
    let seq = view.source.numbers.take()?;
    effects.announcements.push(OutboxEntry {
        seq,
        subscription: original,
        target: smol_str::format_smolstr!("{TARGET}{host}"),
        content: Map::single(RECORD, stem.clone()).into(),
        event_category: None,
        created: view.now,
        next_try: view.now,
        attempts: 0,
    });
    Ok(())
}

impl<S: Store> super::send::Attempt<'_, S> {
    /// Has the record of a stem say whether the AE is here.
    pub(super) async fn record(&self, stem: &Text) -> Result<super::Outcome, Again> {
        let shared = &self.cse.0;
        let mut view = shared.view();
        let now = view.now;
        let is_here = view.by_id(stem).await?.is_some_and(|node| node.ty == Ty::AE && !node.is_expired(now));
        drop(view);
        let link = match is_here {
            true => shared.settings.identity.sp_relative(stem).into(),
            false => Text::new_static(s_record::INACTIVE),
        };
        let request = s_type::telling(&self.host, stem, link, self.identifier());
        let verdict = self.judge(self.tell(request, stem).await)?;
        if let Some(problem) = verdict.problem() {
            shared.metrics.announcements_refused.increment();
            tracing::warn!(host = %self.host, ae = %stem, is_here, problem, "the record of an AE-ID stays as it is");
        }
        Ok(super::Outcome::Done)
    }

    async fn tell(&self, request: Request, stem: &str) -> Result<Response, Error> {
        let shared = &self.cse.0;
        let deadline = shared.clock.now().plus(shared.settings.request_timeout);
        self.cse.send_about(request, stem, deadline).await
    }
}
