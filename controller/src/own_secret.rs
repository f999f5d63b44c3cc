//! A Secret of the controller's own, in its own namespace, that all replicas share: whichever comes first makes
//! it, the others read it. Never logs a value.
//!
//! Rights: `create` on secrets, and `get`, `update` on those of these names.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as Object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use penstock_proto::secret::Secret;

/// Its values by key.
pub type Data = BTreeMap<String, Secret>;

/// Where it is.
pub struct OwnSecret {
    api: Api<Object>,
    namespace: String,
    name: String,
}

/// As it was read, to be replaced only as it was.
pub struct Stored {
    /// Its values.
    pub data: Data,
    object: Object,
}

/// Why it cannot be used now.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} Secret {name}")]
pub struct SecretError {
    /// What was being done, as `read`.
    pub step: &'static str,
    /// `namespace/name`.
    pub name: String,
    /// Why not.
    pub source: Box<kube::Error>,
}

impl OwnSecret {
    /// One of this name.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// `namespace/name`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What it holds; made if it is not there.
    pub async fn open<E: From<SecretError>>(&self, make: impl Fn() -> Result<Data, E>) -> Result<Stored, E> {
        loop {
            if let Some(object) = self.api.get_opt(&self.name).await.map_err(self.failed("read"))? {
                return Ok(stored(object));
            }
            match self.api.create(&PostParams::default(), &self.object(make()?)).await {
                Ok(object) => return Ok(stored(object)),
                // Another replica was quicker: it is that one's.
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(self.failed("create")(error).into()),
            }
        }
    }

    /// Replaces what was read; fails if it changed since.
    pub async fn replace(&self, stored: Stored, data: Data) -> Result<(), SecretError> {
        let object = Object { data: Some(bytes(data)), ..stored.object };
        self.api
            .replace(&self.name, &PostParams::default(), &object)
            .await
            .map(drop)
            .map_err(self.failed("replace"))
    }

    fn object(&self, data: Data) -> Object {
        let labels = BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "penstock".to_owned())]);
        let metadata =
            ObjectMeta { name: Some(self.name.clone()), labels: Some(labels), ..ObjectMeta::default() };
        Object { metadata, data: Some(bytes(data)), type_: Some("Opaque".to_owned()), ..Object::default() }
    }

    fn failed(&self, step: &'static str) -> impl Fn(kube::Error) -> SecretError {
        move |source| SecretError { step, name: self.name(), source: Box::new(source) }
    }
}

fn bytes(data: Data) -> BTreeMap<String, ByteString> {
    data.into_iter().map(|(key, value)| (key, ByteString(value.expose().as_bytes().to_vec()))).collect()
}

/// Values that are not text are not ours.
fn stored(object: Object) -> Stored {
    let read = |(key, ByteString(bytes)): (&String, &ByteString)| {
        Some((key.clone(), Secret::new(String::from_utf8(bytes.clone()).ok()?)))
    };
    Stored { data: object.data.iter().flatten().filter_map(read).collect(), object }
}
