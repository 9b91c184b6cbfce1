//! Third step: secret material. The one place with randomness; what exists and is complete is kept.

use std::collections::BTreeMap;

use super::dereference::SecretData;

/// Key of the access key in the Secret of the embedded object storage.
pub const ACCESS_KEY: &str = "access_key";
/// Key of the secret key in the Secret of the embedded object storage.
pub const SECRET_KEY: &str = "secret_key";

/// Key of the admin's password in Grafana's Secret.
pub const GRAFANA_PASSWORD_KEY: &str = "admin-password";

/// Length of a generated password.
const GRAFANA_PASSWORD_CHARS: usize = 32;
/// Length of a generated access key, as S3 clients expect it.
const ACCESS_KEY_CHARS: usize = 20;
/// Length of a generated secret key.
const SECRET_KEY_CHARS: usize = 40;
/// What `render` prints in place of secret material.
const PLACEHOLDER: &str = "generated-by-the-operator";

/// Source of random bytes.
pub trait Entropy {
    /// Fills `buffer`.
    fn fill(&mut self, buffer: &mut [u8]);
}

/// Secret material of one stack.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// Credentials of the embedded object storage.
    pub object_storage: Credentials,
    /// Password of Grafana's admin.
    pub grafana_password: String,
}

/// What the stack's own Secrets hold already.
#[derive(Clone, Copy, Default)]
pub struct Existing<'a> {
    pub object_storage: Option<&'a SecretData>,
    pub grafana: Option<&'a SecretData>,
}

/// S3 credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").finish_non_exhaustive()
    }
}

impl Minted {
    /// Stands for material that does not exist yet, where manifests are only shown.
    pub fn placeholders() -> Self {
        Self {
            object_storage: Credentials {
                access_key: PLACEHOLDER.to_owned(),
                secret_key: PLACEHOLDER.to_owned(),
            },
            grafana_password: PLACEHOLDER.to_owned(),
        }
    }
}

/// Returns the material in `existing` where it is complete, else new one.
pub fn mint(existing: Existing<'_>, entropy: &mut dyn Entropy) -> Minted {
    let text = |secret: Option<&SecretData>, key: &str| {
        let bytes = secret?.0.get(key)?;
        std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let kept = text(existing.object_storage, ACCESS_KEY)
        .zip(text(existing.object_storage, SECRET_KEY))
        .map(|(access_key, secret_key)| Credentials {
            access_key,
            secret_key,
        });
    Minted {
        object_storage: kept.unwrap_or_else(|| Credentials {
            access_key: token(ACCESS_KEY_CHARS, entropy),
            secret_key: token(SECRET_KEY_CHARS, entropy),
        }),
        grafana_password: text(existing.grafana, GRAFANA_PASSWORD_KEY)
            .unwrap_or_else(|| token(GRAFANA_PASSWORD_CHARS, entropy)),
    }
}

/// The Secret's data for `credentials`.
pub fn secret_data(credentials: &Credentials, yaml: String) -> BTreeMap<String, String> {
    BTreeMap::from([
        (ACCESS_KEY.to_owned(), credentials.access_key.clone()),
        (SECRET_KEY.to_owned(), credentials.secret_key.clone()),
        ("thanos.yaml".to_owned(), yaml),
    ])
}

/// A text of `length` characters out of 32, five random bits each.
fn token(length: usize, entropy: &mut dyn Entropy) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = vec![0; length];
    entropy.fill(&mut bytes);
    bytes
        .iter()
        .map(|byte| {
            char::from(
                ALPHABET
                    .get(usize::from(byte & 31))
                    .copied()
                    .unwrap_or(b'A'),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u8);

    impl Entropy for Counter {
        fn fill(&mut self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
        }
    }

    #[test]
    fn complete_material_is_kept() {
        let first = mint(Existing::default(), &mut Counter(0));
        let stored = SecretData(
            secret_data(&first.object_storage, String::new())
                .into_iter()
                .map(|(key, text)| (key, text.into_bytes()))
                .collect(),
        );
        let grafana = SecretData(BTreeMap::from([(
            GRAFANA_PASSWORD_KEY.to_owned(),
            first.grafana_password.clone().into_bytes(),
        )]));
        let existing = Existing {
            object_storage: Some(&stored),
            grafana: Some(&grafana),
        };
        assert_eq!(mint(existing, &mut Counter(99)), first);
    }

    #[test]
    fn incomplete_material_is_made_again() {
        let stored = SecretData(BTreeMap::from([(ACCESS_KEY.to_owned(), b"A".to_vec())]));
        let existing = Existing {
            object_storage: Some(&stored),
            grafana: Some(&stored),
        };
        let minted = mint(existing, &mut Counter(7));
        assert_eq!(minted.grafana_password.len(), GRAFANA_PASSWORD_CHARS);
        assert_eq!(minted.object_storage.access_key.len(), ACCESS_KEY_CHARS);
        assert_eq!(minted.object_storage.secret_key.len(), SECRET_KEY_CHARS);
    }

    #[test]
    fn material_is_never_printed() {
        let minted = mint(Existing::default(), &mut Counter(0));
        assert!(!format!("{minted:?}").contains(&minted.object_storage.secret_key));
        assert!(!format!("{minted:?}").contains(&minted.grafana_password));
    }
}
