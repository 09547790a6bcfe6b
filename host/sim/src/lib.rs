//! The carrier and the model, played from their documentation behind real sockets.
//!
//! Both simulators follow the other companies' published pages and recordings, and none of our gateway's types: a
//! mistake in how we read a wire must not hide in both ends. [`carrier`] plays Twilio Media Streams and the webhook
//! before it, [`model`] plays the OpenAI Realtime API,
//! [`bridge`] is the plainest possible thing between the two (the baseline of every load figure), [`speech`] holds the spoken clips
//! and [`voice`] says whatever else is to be said,
//! [`http`] is how both ask, [`commands`] is what `cordboard sim …` calls.
//!
//! What decides is pure and knows no clock (`playout`, `script`, `menu`, `twiml`, `rules`, `vad`, `session`, `engine`); a thin
//! layer of tokio around it owns the sockets and hands in the time.

pub mod audio;
pub mod bridge;
pub mod carrier;
pub mod commands;
pub mod http;
pub mod model;
pub mod speech;
pub mod voice;
