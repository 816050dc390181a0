//! Children of which there is one at most: the parent knows its number, so that it is found without a search.

use std::sync::Arc;

use crate::error::Error;
use crate::id::Seq;
use crate::node::Node;
use crate::op::{Draft, delete};
use crate::overlay::Effects;
use crate::resource::Resource;
use crate::value::{Name, Value};
use crate::view::{Source, View};

/// A kind of such children.
pub(super) struct OnlyChild {
    /// Where its number is, in the attributes of the parent.
    pub(super) number: &'static str,
    /// What it is called in texts.
    pub(super) name: &'static str,
}

impl OnlyChild {
    /// The one that a resource has.
    pub(super) fn of(&self, parent: &Node) -> Option<Seq> {
        parent.attributes.int(self.number).map(Seq)
    }

    /// The parent gets one. One that has expired and is not deleted yet makes room.
    ///
    /// # Errors
    /// [`Error`] when it has one already.
    pub(super) async fn added<Q: Source>(
        &self,
        view: &mut View<'_, Q>,
        parent: &Arc<Node>,
        draft: &Draft,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        if let Some(seq) = self.of(parent)
            && let Some(existing) = view.node(seq).await?
        {
            if !existing.is_expired(view.now) {
                let (ty, name, path) = (draft.ty.0, self.name, &parent.path);
                let problem = format!("is {ty}, but '{path}' has a {name}, and there can be only one");
                return Err(Error::parameter("ty", problem));
            }
            delete::remove(view, &existing, effects).await?;
        }
        self.set(view, parent, Some(draft.seq), effects);
        Ok(())
    }

    /// One is deleted; gives the parent that has none any more, if it stays.
    pub(super) async fn removed<Q: Source>(
        &self,
        view: &mut View<'_, Q>,
        child: &Node,
        effects: &mut Effects,
    ) -> Result<Option<Arc<Node>>, Error> {
        let parent = view.parent(child).await?;
        let parent = parent.filter(|parent| self.of(parent) == Some(child.seq) && !effects.deletes(parent.seq));
        if let Some(parent) = &parent {
            self.set(view, parent, None, effects);
        }
        Ok(parent)
    }

    fn set<Q: Source>(&self, view: &View<'_, Q>, parent: &Arc<Node>, child: Option<Seq>, effects: &mut Effects) {
        let parent = effects.current(parent.seq).unwrap_or(parent);
        let mut changed = Resource::clone(parent);
        match child {
            Some(seq) => changed.attributes.insert(Name::new_static(self.number), Value::Int(seq.0)),
            None => changed.attributes.remove(self.number),
        };
        let changed = parent.changed(changed, view.identity());
        effects.update(Arc::new(changed));
    }
}
