//! Who calls, and what they may do: in a cluster the API server's word on both, kept for half a minute.
//! `controller/core/src/access.rs` says what a call needs.
//!
//! Never keeps or logs a token: what is kept goes by its SHA-256.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use futures_util::future::{BoxFuture, try_join_all};
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use k8s_openapi::api::authorization::v1::{SubjectAccessReviewSpec, SubjectAccessReviewStatus};
use penstock_controller_core::access::{Deed, Listing, Need, Person, Said, Sight, is_allowed};

use super::ApiError;
use crate::cluster::kubernetes::people::People;
use crate::known::{Known, LONGEST_TOKEN, digest};
use crate::metrics::{Review, ReviewMetrics};
use crate::reconcile::Clock;
use crate::store::Store;

/// Tokens known at most, a kilobyte each: far more than there are people who look at one installation.
const TOKENS: usize = 2_000;
/// Of a stream; a browser comes back by itself.
const LONGEST_STREAM: Duration = Duration::from_mins(10);
/// Rights known at most, a kilobyte each: a hundred people in two hundred namespaces.
const RIGHTS: usize = 20_000;

/// Who can say whose a token is, and what they may do. An error: it could not be asked now.
pub trait Judge: Send + Sync {
    /// Reviews a token.
    fn token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenReviewStatus, anyhow::Error>>;
    /// Reviews what somebody would do.
    fn access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> BoxFuture<'_, Result<SubjectAccessReviewStatus, anyhow::Error>>;
}

/// What is known of the people of a cluster.
pub struct Rights {
    judge: Box<dyn Judge>,
    clock: Clock,
    tokens: Known<[u8; 32], Said<Option<Arc<Person>>>>,
    access: Known<(Arc<Person>, Need), Said<bool>>,
}

/// Who calls.
#[derive(Clone)]
pub(super) enum Caller {
    /// Who has the admin token: may do everything.
    Admin,
    /// Somebody of the cluster.
    Person { person: Arc<Person>, rights: Arc<Rights> },
}

impl Rights {
    /// With somebody's word.
    pub fn new(judge: Box<dyn Judge>, clock: Clock, metrics: &ReviewMetrics) -> Self {
        let tokens = Known::new(TOKENS, clock.clone(), metrics.of(Review::Token));
        let access = Known::new(RIGHTS, clock.clone(), metrics.of(Review::Access));
        Self { judge, clock, tokens, access }
    }

    /// Whose a token is; `None`: nobody's.
    pub(super) async fn whose(&self, token: &str) -> Result<Option<Arc<Person>>, ApiError> {
        if token.is_empty() || token.len() > LONGEST_TOKEN {
            return Ok(None);
        }
        let ask = async {
            let person = Person::of(self.judge.token(token).await?).map(Arc::new);
            Ok(Said { what: person, at: (self.clock)() })
        };
        self.tokens.get(digest(token), ask).await.map(|said| said.what).map_err(|error| away(&error))
    }

    async fn may(&self, person: &Arc<Person>, need: &Need) -> Result<bool, ApiError> {
        let ask = async {
            let allowed = is_allowed(&self.judge.access(person.review(need)).await?);
            Ok(Said { what: allowed, at: (self.clock)() })
        };
        let key = (Arc::clone(person), need.clone());
        self.access.get(key, ask).await.map(|said| said.what).map_err(|error| away(&error))
    }
}

impl Caller {
    /// Goes on only if they may do this.
    pub(super) async fn may(&self, deed: Deed<'_>) -> Result<(), ApiError> {
        self.need(&deed.needs()).await
    }

    /// Goes on only if they may see what is of no namespace.
    pub(super) async fn may_see_everything(&self) -> Result<(), ApiError> {
        self.need(&[Need::everywhere()]).await
    }

    /// When a stream to them ends, so that they prove anew who they are: a token of the cluster may end meanwhile.
    pub(super) async fn until_they_must_prove_anew(&self) {
        match self {
            Self::Admin => std::future::pending().await,
            Self::Person { .. } => tokio::time::sleep(LONGEST_STREAM).await,
        }
    }

    /// Goes on only with the admin token: the cluster has no right that stands for `what`.
    pub(super) fn is_admin(&self, what: &str) -> Result<(), ApiError> {
        match self {
            Self::Admin => Ok(()),
            Self::Person { .. } => Err(ApiError::Forbidden(format!("only the admin token may {what}"))),
        }
    }

    /// What they see of things that are in these namespaces. One question if they see all, else one for each.
    ///
    /// # Errors
    /// `Forbidden` if they see none.
    pub(super) async fn sight(
        &self,
        listing: Listing,
        namespaces: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Sight, ApiError> {
        let Self::Person { person, rights } = self else { return Ok(Sight::Everything) };
        let everywhere = listing.need(None);
        if rights.may(person, &everywhere).await? {
            return Ok(Sight::Everything);
        }
        // A namespace that has nothing to show yet may still be theirs.
        let own = person.namespace().map(str::to_owned);
        let asked: BTreeSet<String> = namespaces.into_iter().map(Into::into).chain(own).collect();
        let may = asked.iter().map(async |namespace| {
            let allowed = rights.may(person, &listing.need(Some(namespace))).await?;
            Ok::<_, ApiError>(allowed.then(|| namespace.clone()))
        });
        let seen: BTreeSet<String> = try_join_all(may).await?.into_iter().flatten().collect();
        if seen.is_empty() {
            let denied = person.denied(&everywhere);
            return Err(ApiError::Forbidden(format!("{denied}, nor in any namespace that has some")));
        }
        Ok(Sight::Of(seen))
    }

    /// Whose requests they see, by the caller's namespace; `None`: everybody's.
    pub(super) async fn callers_in(&self, store: &Store) -> Result<Option<Vec<String>>, ApiError> {
        // Whom nothing is kept from need not wait for the list.
        if matches!(self, Self::Admin) {
            return Ok(None);
        }
        let known = store.caller_namespaces().await?;
        match self.sight(Listing::Accounts, known.iter().map(String::as_str)).await? {
            Sight::Everything => Ok(None),
            Sight::Of(namespaces) => Ok(Some(namespaces.into_iter().collect())),
        }
    }

    /// Whether they see what is of one namespace.
    pub(super) async fn sees(&self, listing: Listing, namespace: &str) -> Result<bool, ApiError> {
        let Self::Person { person, rights } = self else { return Ok(true) };
        if rights.may(person, &listing.need(None)).await? {
            return Ok(true);
        }
        // What is of no namespace is not of theirs, and an empty name would ask for all.
        Ok(!namespace.is_empty() && rights.may(person, &listing.need(Some(namespace))).await?)
    }

    async fn need(&self, needs: &[Need]) -> Result<(), ApiError> {
        let Self::Person { person, rights } = self else { return Ok(()) };
        for need in needs {
            if !rights.may(person, need).await? {
                return Err(ApiError::Forbidden(person.denied(need)));
            }
        }
        Ok(())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller
            .ok_or_else(|| ApiError::Internal("an endpoint that nobody's right to was looked at".to_owned()))
    }
}

fn away(error: &anyhow::Error) -> ApiError {
    tracing::warn!(error = format!("{error:#}"), "the API server cannot say what a caller may do");
    ApiError::ClusterAway(
        "the API server cannot say now who you are and what you may do; try again".to_owned(),
    )
}

impl Judge for People {
    fn token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenReviewStatus, anyhow::Error>> {
        Box::pin(async move { Ok(self.review_token(token).await?) })
    }

    fn access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> BoxFuture<'_, Result<SubjectAccessReviewStatus, anyhow::Error>> {
        Box::pin(async move { Ok(self.review_access(spec).await?) })
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rights")
    }
}
