//! Asks the API server whose a token is, and what they may do. Never keeps or logs a token.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{
    SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};

/// The people of a cluster.
pub struct People {
    tokens: Api<TokenReview>,
    access: Api<SubjectAccessReview>,
}

impl People {
    /// As this API server knows them.
    pub fn new(client: Client) -> Self {
        Self { tokens: Api::all(client.clone()), access: Api::all(client) }
    }

    /// Whose a token for the API server is. One that is meant for somebody else is nobody's: what a gateway or
    /// another service is shown opens nothing here.
    pub(crate) async fn review_token(&self, token: &str) -> Result<TokenReviewStatus, kube::Error> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviewed = self.tokens.create(&PostParams::default(), &review).await?;
        Ok(reviewed.status.unwrap_or_default())
    }

    /// Whether somebody may do something.
    pub(crate) async fn review_access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, kube::Error> {
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviewed = self.access.create(&PostParams::default(), &review).await?;
        Ok(reviewed.status.unwrap_or_default())
    }
}
