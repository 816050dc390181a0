//! Users that are struck off the list, or get another password, while their clients are here.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::identity::Who;
use super::policy::Security;
use super::users::Table;
use crate::broker::{Broker, Identity, Proof, Standing};

/// How often the list of users is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

impl Security {
    /// Keeps clients in step with the list of users, for as long as it is polled: those whose user is gone, or has
    /// another password or identifier, are disconnected; sessions for which there is no user any more end.
    ///
    /// A list has to be the same at two looks before it costs anybody the connection or the session: an editor may be
    /// about to write the rest of it.
    pub async fn follow_users(&self, broker: &Broker) {
        let Some(users) = self.list_of_users() else {
            return std::future::pending().await;
        };
        // Sessions that were kept over a restart may be from other times.
        review(broker).await;
        let mut settling = Settling::at(users.table());
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let looking = Arc::clone(users);
            // Reading is slow: of the disk, and since a hash has to be made for those who are nobody.
            let Ok(table) = tokio::task::spawn_blocking(move || looking.look()).await else { continue };
            if settling.is_due(table) {
                review(broker).await;
            }
        }
    }

    /// Whether what let a client in still holds.
    pub(super) fn standing_of(&self, identity: &Identity, proof: Option<Proof>) -> Standing {
        let Some(users) = self.list_of_users() else { return Standing::Good };
        let who = Who::of(identity);
        match proof {
            Some(proof) => users.standing(identity, who.credential, proof),
            // With a certificate, with nothing, or in an earlier process, which has not said how.
            None if !who.proven || self.may_have_certificates() || users.has(identity, who.credential) => {
                Standing::Good
            }
            None => Standing::Gone,
        }
    }
}

async fn review(broker: &Broker) {
    let reviewed = broker.clone();
    // There may be very many sessions.
    let Ok(revoked) = tokio::task::spawn_blocking(move || reviewed.review_standing()).await else { return };
    if revoked.connections > 0 || revoked.sessions > 0 {
        let (connections, sessions) = (revoked.connections, revoked.sessions);
        tracing::info!(connections, sessions, "users have changed: connections closed, sessions ended");
    }
}

/// Tells when a list that has changed stays as it is.
struct Settling {
    reviewed: Arc<Table>,
    last: Arc<Table>,
}

impl Settling {
    fn at(table: Arc<Table>) -> Self {
        Self { reviewed: Arc::clone(&table), last: table }
    }

    /// Notes the list at one look; `true` once for each that has not changed since the look before.
    fn is_due(&mut self, table: Arc<Table>) -> bool {
        let is_settled = Arc::ptr_eq(&table, &self.last);
        let is_new = !Arc::ptr_eq(&table, &self.reviewed);
        self.last = table;
        if is_settled && is_new {
            self.reviewed = Arc::clone(&self.last);
        }
        is_settled && is_new
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cse_core::id::{CseIdentity, CseType};
    use cse_core::settings::CredentialRules;

    use super::super::identity::{Entity, anonymous, identity};
    use super::super::logins::LoginLimits;
    use super::super::naming::CertificateIdentity;
    use super::super::policy::{Mode, SecurityOptions};
    use super::super::users::{Users, cheap_hash, test_file as file};
    use super::*;

    fn own() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    fn security(users: Option<&Path>, certificates: bool) -> Security {
        let users = users.map(|path| Arc::new(Users::load(path, &own()).expect("valid")));
        let options = SecurityOptions {
            mode: Mode::Strict,
            certificate_identity: CertificateIdentity::default(),
            anonymous: true,
            users,
            certificates,
            logins: LoginLimits::default(),
            credentials: CredentialRules::default(),
        };
        Security::new(own(), own().canonical_originator("CAdmin"), "", options)
    }

    #[test]
    fn a_login_holds_while_the_line_of_the_user_stays() {
        let (old, new) = (cheap_hash("old"), cheap_hash("new"));
        let (_directory, path) = file(&format!("lamp:{old}\ndoor:{old}:Sdoor\n"));
        let security = security(Some(&path), true);
        let users = security.list_of_users().expect("a list");
        let lamp = users.verify("lamp", b"old").expect("right");
        let door = users.verify("door", b"old").expect("right");
        assert_ne!(lamp.proof, door.proof);
        for (text, expected) in [
            (format!("# moved\ndoor:{old}:Sdoor\nlamp:{old}"), [Standing::Good, Standing::Good]),
            (format!("lamp:{new}\ndoor:{old}:Sother"), [Standing::Stale, Standing::Gone]),
            (format!("door:{old}\nanother:{old}:Sdoor"), [Standing::Gone, Standing::Gone]),
            ("nonsense".to_owned(), [Standing::Gone, Standing::Gone]),
            (format!("lamp:{old}\ndoor:{new}:Sdoor"), [Standing::Good, Standing::Stale]),
        ] {
            std::fs::write(&path, &text).expect("written");
            users.look();
            let standing = [&lamp, &door].map(|client| security.standing_of(&client.identity, client.proof));
            assert_eq!(standing, expected, "{text}");
        }
    }

    #[test]
    fn sessions_of_earlier_times_stay_if_somebody_can_come_back_for_them() {
        let (_directory, path) = file(&format!("lamp:{0}\ndoor:{0}:Sdoor\n", cheap_hash("x")));
        let door = Entity::Ae("Sdoor".into());
        for (client, standing) in [
            (identity(None, "lamp"), Standing::Good),
            (identity(Some(&door), "door"), Standing::Good),
            (identity(None, "door"), Standing::Gone),
            (identity(Some(&door), "lamp"), Standing::Gone),
            (identity(None, "gone"), Standing::Gone),
            (identity(Some(&door), "33-Sdoor"), Standing::Gone),
            (anonymous(), Standing::Good),
        ] {
            assert_eq!(security(Some(&path), false).standing_of(&client, None), standing, "{client:?}");
            // A certificate may say the same, and without a list there is nothing to go by.
            assert_eq!(security(Some(&path), true).standing_of(&client, None), Standing::Good);
            assert_eq!(security(None, false).standing_of(&client, None), Standing::Good);
        }
    }

    #[test]
    fn a_list_counts_when_it_has_stayed_the_same() {
        let (_directory, path) = file("");
        let users = Users::load(&path, &own()).expect("valid");
        let first = users.table();
        let write = |text: String| {
            std::fs::write(&path, text).expect("written");
            users.look()
        };
        let (half, whole) = (write(format!("a:{}", cheap_hash("a"))), write(format!("b:{0}\nc:{0}", cheap_hash("b"))));
        assert!(!Arc::ptr_eq(&half, &whole) && !Arc::ptr_eq(&first, &half));
        let mut settling = Settling::at(Arc::clone(&first));
        for (table, is_due) in [
            (&first, false),
            (&half, false),
            (&whole, false),
            (&whole, true),
            (&whole, false),
            (&half, false),
            (&whole, false),
            (&whole, false),
            (&half, false),
            (&half, true),
        ] {
            assert_eq!(settling.is_due(Arc::clone(table)), is_due);
        }
    }
}
