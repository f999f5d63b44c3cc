//! Grants: client keys of `AccessGrant` objects, and outside a cluster those of labelled Secrets.

use std::sync::Arc;

use jiff::Timestamp;
use penstock_crds::conditions as reasons;
use penstock_crds::grant::AccessGrantStatus;
use penstock_proto::resource::Resource;

use super::{Plan, StatusWrite, change, refusal};
use crate::conditions::{self, Said};
use crate::validate::Kind;
use crate::validate::grant::{check, labelled};
use crate::world::World;

pub(super) fn reconcile(world: &World, now: Timestamp, plan: &mut Plan) {
    let objects = &world.objects;
    if objects.standalone {
        for (name, grant) in objects.secrets.iter().filter_map(|(id, secret)| labelled(id, secret)) {
            plan.publish(Resource::Grant(name, Arc::new(grant)));
        }
    }
    for (id, object) in &objects.grants {
        let (grants, faults) = check(id, &object.spec, objects, |pool| plan.pools.contains_key(pool));
        for (name, grant) in grants {
            plan.publish(Resource::Grant(name, Arc::new(grant)));
        }
        let said = match faults.first() {
            None => Said::yes(reasons::ACCEPTED, reasons::REASON_ACCEPTED),
            Some(first) => {
                let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
                Said::no(reasons::ACCEPTED, first.reason, messages.join("; "))
            }
        };
        let generation = object.metadata.generation;
        let held = object.status.as_ref();
        let held_conditions = held.map_or(&[][..], |status| &status.conditions);
        let conditions = conditions::update(held_conditions, vec![said], generation, now);
        let status = AccessGrantStatus { observed_generation: generation, conditions };
        plan.refused.extend(refusal(Kind::Grant, id, held_conditions, &status.conditions));
        let change = change(&object.metadata, held, &status);
        plan.writes.extend(change.map(|change| StatusWrite::Grant(id.clone(), change)));
    }
}
