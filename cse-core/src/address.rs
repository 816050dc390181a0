//! From the `to` of a request to a resource (TS-0001 §9.3.1, TS-0004 §7.3.3.1).

use std::sync::Arc;

use crate::error::Error;
use crate::id::CseIdentity;
use crate::node::Node;
use crate::schema::{Ty, Virtual, type_def};
use crate::value::Text;
use crate::view::{Source, View};

/// Whose resource an address names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// One of this CSE: the CSE-relative address, structured or not, and the attribute behind `#`.
    Local(Text, Option<Text>),
    /// One of another CSE or service provider.
    Remote,
}

impl Target {
    /// Sorts an address.
    pub(crate) fn of(to: &str, identity: &CseIdentity) -> Target {
        let (address, attribute) = match to.split_once('#') {
            Some((address, attribute)) => (address, Some(attribute.into())),
            None => (to, None),
        };
        // The SP-relative form of an S-type AE-ID stem names no CSE.
        let sp_relative = address.strip_prefix(identity.sp_id.as_str()).unwrap_or(address);
        if let Some(stem) = sp_relative.strip_prefix('/')
            && stem != "S"
            && identity.stem_of_service_level(stem)
        {
            return Target::Local(stem.into(), attribute);
        }
        match identity.local_part(address) {
            // The CSE-ID alone means the CSEBase.
            Some("") if !address.is_empty() => Target::Local(identity.cse_name.clone(), attribute),
            Some(local) => Target::Local(local.strip_suffix('/').unwrap_or(local).into(), attribute),
            None => Target::Remote,
        }
    }
}

/// What an address leads to.
pub(crate) enum Resolved {
    /// A resource.
    Resource(Arc<Node>),
    /// The newest instance of a container.
    Latest(Arc<Node>),
    /// The oldest instance of a container.
    Oldest(Arc<Node>),
    /// All members of a group, with the rest of the address.
    FanOut(Arc<Node>, Option<Text>),
    /// Where the requests that wait in a polling channel are fetched and answered.
    PollingChannelUri(Arc<Node>),
    /// A virtual resource that this CSE only knows by name.
    Other(Virtual),
}

impl<Q: Source> View<'_, Q> {
    /// Finds what a CSE-relative address leads to.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for what has expired.
    pub(crate) async fn resolve(&mut self, local: &str) -> Result<Resolved, Error> {
        let not_found = || Error::NotFound(local.to_owned());
        if local.contains("/fopt") {
            for (at, _) in local.match_indices("/fopt") {
                let rest = &local[at + "/fopt".len()..];
                if !(rest.is_empty() || rest.starts_with('/')) {
                    continue;
                }
                if let Some(node) = self.plain(&local[..at]).await?
                    && node.ty == Ty::GROUP
                {
                    let rest = rest.strip_prefix('/').filter(|rest| !rest.is_empty()).map(Text::from);
                    return Ok(Resolved::FanOut(node, rest));
                }
            }
        }
        if let Some((parent, last)) = local.rsplit_once('/')
            && let Some(point) = Virtual::from_short_name(last)
            && let Some(node) = self.plain(parent).await?
            && type_def(node.ty).is_some_and(|def| def.has_virtual(point))
        {
            return Ok(match point {
                Virtual::Latest => Resolved::Latest(node),
                Virtual::Oldest => Resolved::Oldest(node),
                Virtual::PollingChannelUri => Resolved::PollingChannelUri(node),
                other => Resolved::Other(other),
            });
        }
        self.plain(local).await?.map(Resolved::Resource).ok_or_else(not_found)
    }

    /// The resource at an address without virtual resources.
    pub(crate) async fn plain(&mut self, local: &str) -> Result<Option<Arc<Node>>, Error> {
        let base_name = &self.identity().cse_name;
        let (first, rest) = match local.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (local, None),
        };
        let node = if first == base_name {
            self.by_path(local).await?
        } else if first == "-" {
            match rest {
                Some(rest) => self.by_path(&format!("{base_name}/{rest}")).await?,
                None => Some(self.base().await?),
            }
        } else {
            let mut node = self.by_id(first).await?;
            for name in rest.into_iter().flat_map(|rest| rest.split('/')) {
                node = match node {
                    Some(parent) => self.child(&parent, name).await?,
                    None => None,
                };
            }
            node
        };
        Ok(node.filter(|node| !node.is_expired(self.now)))
    }

    /// The local resource at an address in any form; `None` when there is none or it is not ours.
    pub(crate) async fn local_resource(&mut self, address: &str) -> Result<Option<Arc<Node>>, Error> {
        match Target::of(address, self.identity()) {
            Target::Local(local, _) => self.plain(&local).await,
            Target::Remote => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CseType;

    #[test]
    fn addresses_are_sorted() {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        let local = |text: &str| Target::Local(text.into(), None);
        for (to, target) in [
            ("cse-in/a", local("cse-in/a")),
            ("cse-in/a/", local("cse-in/a")),
            ("cnt17", local("cnt17")),
            ("/id-in/cse-in/a", local("cse-in/a")),
            ("/id-in", local("cse-in")),
            ("//cse.example/id-in", local("cse-in")),
            ("//cse.example/id-in/-/a", local("-/a")),
            ("/S17", local("S17")),
            ("/id-mn/a", Target::Remote),
            ("//other.example/id-in/a", Target::Remote),
            ("cnt17#lbl", Target::Local("cnt17".into(), Some("lbl".into()))),
        ] {
            assert_eq!(Target::of(to, &identity), target, "{to}");
        }
    }
}
