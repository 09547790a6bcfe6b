//! Where a component keeps its one instance.

use std::cell::RefCell;

use crate::{Action, CallInfo, Event, Instance, Level, Tenant};

/// The instance, once `started` or `load` has made one.
pub struct Slot<T>(RefCell<Option<Instance<T>>>);

impl<T: Tenant> Slot<T> {
    /// An empty slot.
    #[expect(clippy::new_without_default, reason = "only the export macro makes one")]
    pub const fn new() -> Slot<T> {
        Slot(RefCell::new(None))
    }

    /// The export `handle`.
    pub fn handle(&self, now: u64, event: Event) -> Vec<Action> {
        let mut slot = self.0.borrow_mut();
        match (slot.as_mut(), event) {
            (Some(instance), event) => instance.handle(now, event),
            (None, Event::Started(info)) => {
                let (instance, actions) = Instance::start(now, info);
                *slot = Some(instance);
                actions
            }
            (None, _) => {
                crate::log(Level::Error, "an event came before `started`");
                Vec::new()
            }
        }
    }

    /// The export `save`; empty before `started`, and no `load` takes that.
    pub fn save(&self) -> Vec<u8> {
        self.0.borrow().as_ref().map(Instance::save).unwrap_or_default()
    }

    /// The export `load`.
    ///
    /// # Errors
    ///
    /// As [`Instance::load`].
    pub fn load(&self, now: u64, info: CallInfo, state: &[u8]) -> Result<(), String> {
        *self.0.borrow_mut() = Some(Instance::load(now, info, state)?);
        Ok(())
    }
}
