//! User names by user id, looked up once each in the system's user database (nsswitch).

use std::collections::HashMap;
use std::sync::Arc;

use nix::unistd::{Uid, User};

/// Names already looked up. A name that changes while concmon runs is not noticed.
#[derive(Debug, Default)]
pub struct UserNames(HashMap<u32, Arc<str>>);

impl UserNames {
    /// The name of `uid`, or its number in digits if the database does not know it.
    pub fn name(&mut self, uid: u32) -> Arc<str> {
        let found = self.0.entry(uid).or_insert_with(|| match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => user.name.into(),
            _ => uid.to_string().into(),
        });
        Arc::clone(found)
    }
}
