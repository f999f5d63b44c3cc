//! A request's path, top to bottom, in the words of the documentation: authentication, route, body
//! parse, account selection and attempts, relay. Decides nothing itself.

use std::sync::Arc;

use penstock_proxy_core::route::route;

use crate::attempt::{Accepted, attempt};
use crate::authenticate::authenticate;
use crate::body::{self, Incoming};
use crate::completion::Completion;
use crate::head::{RequestHead, Response};
use crate::relay::{self, relay};
use crate::respond::{Answer, Refusal, respond};
use crate::state::State;
use crate::upstream::Upstreams;

mod asking;

/// What serves requests on one thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    state: Arc<State>,
    upstreams: Upstreams,
}

impl Worker {
    pub(crate) fn new(state: Arc<State>, upstreams: Upstreams) -> Self {
        Self { state, upstreams }
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// Answers one request.
    pub(crate) async fn handle(&self, head: RequestHead, incoming: Incoming) -> Response<Answer> {
        let mut completion = Completion::begin(Arc::clone(&self.state), &head);
        match self.serve(&head, incoming, &mut completion).await {
            Ok((accepted, asked)) => relay(accepted, &head, &asked, completion),
            Err(refusal) => respond(&refusal, &head, &self.state, completion),
        }
    }

    async fn serve(
        &self,
        head: &RequestHead,
        incoming: Incoming,
        completion: &mut Completion,
    ) -> Result<(Accepted, relay::Asked), Refusal> {
        let (config, published) = (&self.state.config, self.state.published());
        let (path, query) = (head.uri.path(), head.uri.query());
        let caller = authenticate(&self.state, &published, &head.headers, completion.received_at())?;
        completion.called_by(&caller);
        let route = route(&head.method, path, query, &head.headers, &published.view.providers)
            .map_err(Refusal::NotFound)?;
        completion.routed(&route);
        asking::refuse_upgrade(&head.headers)?;
        let body = body::read(incoming, &route, &head.headers, asking::body_limits(head, config)).await?;
        let asked = relay::Asked { dialect: route.dialect, operation: route.operation };
        let request = asking::request(&caller, &route, head, &body, &published, config);
        completion.attempting(request, &body);
        let outgoing = asking::outgoing(&caller, &route, head, body, &published, config);
        drop(published);
        let accepted = attempt(&self.state, &self.upstreams, &outgoing, completion).await?;
        completion.estimate_from(&outgoing.body);
        Ok((accepted, asked))
    }
}
