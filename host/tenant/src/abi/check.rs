//! Whether a component's exports have the contract's types, seen before there is an instance.

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentNamedList, Lift, Lower};

use super::types::{Action, CallInfo, Event};
use super::{CONTRACT_VERSION, HANDLER, HANDOVER};
use crate::vet;

/// Checks the export every tenant has.
///
/// # Errors
///
/// Which function is wrong, and how.
pub(crate) fn check_handler(component: &Component) -> Result<(), String> {
    check::<(u64, &Event), (Vec<Action>,)>(component, HANDLER, "handle")
}

/// Whether the component exports hand-over at all.
pub(crate) fn exports_handover(component: &Component) -> bool {
    component.get_export_index(None, interface(HANDOVER)).is_some()
}

/// Checks the optional export.
///
/// # Errors
///
/// Which function is wrong, and how.
pub(crate) fn check_handover(component: &Component) -> Result<(), String> {
    check::<(), (Vec<u8>,)>(component, HANDOVER, "save")?;
    check::<(u64, &CallInfo, &[u8]), (Result<(), String>,)>(component, HANDOVER, "load")
}

fn check<Params, Results>(component: &Component, of: &str, name: &str) -> Result<(), String>
where
    Params: ComponentNamedList + Lower,
    Results: ComponentNamedList + Lift,
{
    let missing = || format!("`{}` has no function `{name}`", interface(of));
    let function = function(component, of, name).ok_or_else(missing)?;
    function
        .typecheck::<Params, Results>(&component.component_type().instance_type())
        .map_err(|e| format!("`{name}` of `{}`: {e:#}", interface(of)))
}

fn function(component: &Component, of: &str, name: &str) -> Option<ComponentFunc> {
    let (engine, world) = (component.engine(), component.component_type());
    // Whatever version of it is there was found compatible.
    let mut exports = world.exports(engine);
    let (_, export) = exports.find(|(name, _)| vet::split(name).0 == of)?;
    match export.ty {
        ComponentItem::ComponentInstance(instance) => match instance.get_export(engine, name)?.ty {
            ComponentItem::ComponentFunc(function) => Some(function),
            _ => None,
        },
        _ => None,
    }
}

fn interface(name: &str) -> String {
    format!("{name}@{CONTRACT_VERSION}")
}
