//! How a call behaves, on a virtual clock.

mod rig;

mod asking;
mod caller;
mod ending;
mod flushing;
mod model;
mod playing;
mod tenant;
