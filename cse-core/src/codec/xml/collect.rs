//! The members of an object while its element is read: the same name may come again.

use rustc_hash::FxHashMap;

use super::slots::Many;
use crate::value::{Map, Name, Value, appears_twice};

/// What one element or attribute says about a member.
pub(super) enum Content {
    /// All there is to say: the element may not come again.
    Whole(Value),
    /// One value; one of several if the member is a list.
    Item(Value),
    /// Several items of a list.
    Items(Vec<Value>),
}

enum State {
    Complete,
    /// A value of a member of which nobody knows whether it is a list.
    Loose,
    List,
}

/// An object in the making.
#[derive(Default)]
pub(super) struct Members {
    members: Vec<(Name, Value)>,
    /// One for each member.
    states: Vec<State>,
    /// By name, once there are so many that comparing one by one would take a hostile input too long.
    index: FxHashMap<Name, usize>,
}

impl Members {
    const COMPARED_MAX: usize = 32;

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds what an element says.
    ///
    /// # Errors
    /// When the member is there already and is no list.
    pub(super) fn add(&mut self, name: Name, many: Many, content: Content) -> Result<(), String> {
        let Some(position) = self.position(&name) else {
            let (value, state) = match (content, many) {
                (Content::Whole(value), _) => (value, State::Complete),
                (Content::Item(value), Many::No) => (value, State::Complete),
                (Content::Item(value), Many::Loose) => (value, State::Loose),
                (Content::Item(value), Many::List | Many::Repeated) => (Value::List(vec![value]), State::List),
                (Content::Items(values), _) => (Value::List(values), State::List),
            };
            if self.members.len() >= Self::COMPARED_MAX {
                self.index.insert(name.clone(), self.members.len());
            }
            self.members.push((name, value));
            self.states.push(state);
            return Ok(());
        };
        let (name, value) = &mut self.members[position];
        match (&mut self.states[position], content) {
            (State::List, Content::Item(item)) => push(value, item),
            (State::List, Content::Items(items)) => items.into_iter().for_each(|item| push(value, item)),
            (state @ State::Loose, Content::Item(item)) => {
                let first = std::mem::replace(value, Value::Null);
                *value = Value::List(vec![first, item]);
                *state = State::List;
            }
            _ => return Err(appears_twice(name)),
        }
        Ok(())
    }

    fn position(&self, name: &Name) -> Option<usize> {
        let compared = self.members.iter().take(Self::COMPARED_MAX).position(|(known, _)| known == name);
        compared.or_else(|| self.index.get(name).copied())
    }

    pub(super) fn into_map(self) -> Map {
        Map::from_unique(self.members)
    }
}

fn push(list: &mut Value, item: Value) {
    if let Value::List(list) = list {
        list.push(item);
    }
}
