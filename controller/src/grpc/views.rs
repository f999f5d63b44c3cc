//! What each kind of peer may see of the plan. A thousand proxies that may see the same are worked out for
//! once: the view, and what is different from the one before.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use penstock_controller_core::Plan;
use penstock_controller_core::snapshot::{View, Viewer};
use penstock_proto::resource::Update;

/// The views of the current plan.
#[derive(Default)]
pub(super) struct Views(Mutex<Cache>);

#[derive(Default)]
struct Cache {
    plan: Option<Arc<Plan>>,
    views: BTreeMap<Viewer, Arc<View>>,
    /// By the versions from which and to which.
    steps: BTreeMap<(String, String), Arc<Update>>,
}

impl Views {
    /// What the viewer may see of the plan.
    pub(super) fn of(&self, plan: &Arc<Plan>, viewer: &Viewer) -> Arc<View> {
        let mut cache = self.0.lock();
        if cache.plan.as_ref().is_none_or(|held| !Arc::ptr_eq(held, plan)) {
            *cache = Cache { plan: Some(Arc::clone(plan)), ..Cache::default() };
        }
        if let Some(view) = cache.views.get(viewer) {
            return Arc::clone(view);
        }
        let view = Arc::new(plan.view(viewer));
        cache.views.insert(viewer.clone(), Arc::clone(&view));
        view
    }

    /// What turns a proxy that was sent `from` into one that holds `to`.
    pub(super) fn step(&self, from: &View, to: &View, now: Timestamp) -> Arc<Update> {
        let key = (from.version.clone(), to.version.clone());
        let mut cache = self.0.lock();
        let step = cache.steps.entry(key).or_insert_with(|| Arc::new(to.update(&from.held(), now)));
        Arc::clone(step)
    }
}
