//! Text from Secrets that the spec refers to.

use crds::workload::SecretKey;

use super::{Check, Reason};

impl Check<'_> {
    pub(super) fn secret_text(&mut self, path: &str, key: &SecretKey) -> Option<String> {
        let Some(secret) = self.references.secrets.get(&key.name) else {
            let problem = format!(
                "Secret {:?} does not exist in this namespace; create it with key {:?}",
                key.name, key.key
            );
            self.refuse_as(Reason::SecretNotFound, path, problem);
            return None;
        };
        let Some(bytes) = secret.0.get(&key.key) else {
            let problem = format!("Secret {:?} has no key {:?}", key.name, key.key);
            self.refuse_as(Reason::SecretKeyNotFound, path, problem);
            return None;
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => {
                let problem = format!("Secret {:?}, key {:?}: is not UTF-8", key.name, key.key);
                self.refuse_as(Reason::MalformedSecret, path, problem);
                None
            }
        }
    }
}
