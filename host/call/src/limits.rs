//! Every limit of the call path, in one place.
//!
//! Each has its unit in its type or name, a default, and the reason for it; what happens at the
//! bound stands with it. Limits on a guest's memory and processor time are not here: they belong to
//! the sandbox (`cordboard-tenant`, `limits.rs`).

use std::time::Duration;

/// The bounds one call lives within. [`Limits::default`] is what the gateway ships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Audio queued at the carrier below which more is sent: 200 ms. It must cover the network's
    /// jitter and one late wake-up.
    pub lead_min: Duration,
    /// Audio queued at the carrier above which nothing more is sent: 400 ms. What is queued there
    /// is what a barge-in throws away, so the smaller the better; at least a frame above
    /// `lead_min`.
    pub lead_max: Duration,
    /// Frames in one media message: 5, so that 100 ms of speech cost one message. At least 1.
    pub frames_per_message_max: usize,
    /// Audio between two marks of our own: 200 ms. The played position is exact at a mark and
    /// interpolated between two.
    pub mark_grid: Duration,
    /// How long after its time a mark's echo is awaited before the audio counts as played: 2 s. On
    /// a line that loses echoes a farewell must still end.
    pub mark_grace: Duration,
    /// How long the carrier may run dry before a remainder shorter than a frame is padded and sent:
    /// 60 ms. By then it is a gap anyway.
    pub remainder_wait: Duration,
    /// Audio waiting behind the lead: 5 min. A model's longest answer (4096 tokens of 50 ms) is
    /// 205 s. A `play` beyond it is refused whole.
    pub playout_max: Duration,
    /// Pieces that audio may come in: 32,768, twice as many as frames in `playout_max`. A `play` beyond
    /// it is refused.
    pub pieces_max: usize,
    /// Items played but not yet heard to their end: 256. A `play` that would begin one more is
    /// refused.
    pub items_max: usize,
    /// Bytes of an item's name or of a tenant's mark: 256.
    pub name_bytes_max: usize,
    /// Tenant marks not yet reported: 256. One more is refused.
    pub marks_max: usize,

    /// Lateness of a media timestamp that counts as a gap: 40 ms, two frames. Stamps jitter by
    /// less.
    pub gap_tolerance: Duration,
    /// Silence put into one gap: 10 s, as OpenAI's own transport does. A longer gap is cut to it.
    pub gap_fill_max: Duration,
    /// Bytes of one `caller-audio`: 8 KiB, a second of the telephone. What a tenant makes of it for the
    /// model has six times as many and must fit one answer. Longer media come in several events, in
    /// whole frames.
    pub caller_audio_bytes_max: usize,
    /// Time without media, while the caller is speaking, before silence is put in so that the
    /// model's turn detection can end the turn: 750 ms, as OpenAI's own transport does.
    pub stall_after: Duration,
    /// Silence put into one such stall: 1 s.
    pub stall_fill: Duration,

    /// Events waiting for the tenant: 2048, 10 s of frames and four times as much again. At the
    /// bound the oldest caller audio goes, then the oldest model audio; when only other events are
    /// left the tenant counts as failed.
    pub events_max: usize,
    /// Bytes in those events: 8 MiB, a minute and a half of the model's 24 kHz speech with room
    /// for its events. The bound works as for `events_max`.
    pub events_bytes_max: usize,
    /// Actions in one answer: 256. The rest is refused, with one `refused` for all.
    pub actions_max: usize,
    /// Bytes of `play` and `model-audio` in one answer: 256 KiB, as at the sandbox's boundary
    /// (`answer_bytes_max`), which counts names as well. An action beyond it is refused.
    pub audio_per_answer_bytes_max: usize,
    /// Events a tenant may cause itself (`refused`, `flushed`, `timer`, marks that were due at
    /// once) within one second: 1000. Beyond it the tenant is in a loop with itself and is
    /// restarted.
    pub echoes_per_second_max: u32,
    /// Restarts of the tenant within `restart_window`: 3. The next failure ends the call with the
    /// apology.
    pub restarts_max: u32,
    /// The window for `restarts_max`: 60 s.
    pub restart_window: Duration,
    /// Time for a fresh instance to appear: 5 s, and the call ends with the apology.
    pub tenant_start_max: Duration,

    /// Timers set: 64. One more is refused.
    pub timers_max: usize,
    /// HTTP requests under way: 8. One more is refused.
    pub http_in_flight_max: usize,
    /// Bytes of a request's URL, headers and body together: 128 KiB. An answer's body has the same
    /// bound, and both fit an event or answer of 256 KiB. A larger one is refused.
    pub http_bytes_max: usize,
    /// A request's time: 30 s. A longer `timeout-ms` (and 0) is cut to it.
    pub http_timeout_max: Duration,
    /// Bytes of one publication's JSON: 64 KiB. A larger one is refused.
    pub publication_bytes_max: usize,
    /// Publications within one second: 200. One more is refused.
    pub publications_per_second_max: u32,
    /// Bytes of an operator's command: 64 KiB. A larger one is dropped and noted.
    pub command_bytes_max: usize,

    /// Bytes of one `model-event` of a tenant: 256 KiB. A larger one is refused.
    pub model_event_bytes_max: usize,
    /// Bytes of one `model-event` for the tenant: 256 KiB, as for its own. A longer one, up to what the
    /// socket takes (16 MiB), has its long texts cut, and is dropped if that is not enough: read whole it
    /// would be the model's way to use up a tenant's memory and time.
    pub model_said_bytes_max: usize,
    /// Events of the model, without its voice, within one second: 2000. A minute of speech, sent at
    /// once, has some 500. Beyond it the session is exchanged, as after a loss.
    pub model_events_per_second_max: u32,
    /// Messages of the model, its voice included, within one second: 5000. A minute of speech in pieces of
    /// 20 ms, sent at once, has 3000. Beyond it the session is exchanged.
    pub model_messages_per_second_max: u32,
    /// Messages of the model, its voice included, within one second from which on it is the model's
    /// doing, and not the tenant's, that the tenant has more echoes than `echoes_per_second_max`: 250.
    pub model_blamed_per_second: u32,
    /// Bytes of one `model-audio` for the tenant: 48 KiB, a second of the model's 24 kHz speech. A longer
    /// delta, up to what the socket takes (4 MiB), comes in several events: handed on as it is it would
    /// not fit the tenant's answer and be the model's way to end a call.
    pub model_audio_bytes_max: usize,
    /// Bytes of caller audio (and of the few events that keep its order) held until the model's
    /// session is confirmed, or while it is lost: 1 MiB, 21 s at 24 kHz. At the bound the oldest
    /// goes, and is noted.
    pub held_bytes_max: usize,
    /// Appends and buffer events held alongside: 2048. At the bound the oldest goes.
    pub held_max: usize,
    /// `session.update`s not yet confirmed: 16. At the bound the oldest is forgotten.
    pub updates_pending_max: usize,
    /// Time for the model's socket to be opened and its session created: 15 s; then it is tried
    /// again. The shell's own deadline should be shorter.
    pub model_connect_max: Duration,
    /// Time for the model to confirm a session's formats: 10 s; then the call ends with the
    /// apology, because the caller is talking to nobody.
    pub session_confirm_max: Duration,
    /// Attempts to connect again in a row: 6. The next failure ends the call with the apology.
    pub model_attempts_max: u32,
    /// The wait before the second attempt; the first is made at once and each further one waits
    /// twice as long: 250 ms.
    pub model_backoff: Duration,
    /// How long a session must hold before the attempts are counted from 0 again: 10 s.
    pub model_stable_after: Duration,
    /// Age at which a session is exchanged at the next quiet moment: 57 min. The model ends it at
    /// 60.
    pub model_session_renew: Duration,

    /// The longest wait of a `hang-up` for playing to end: 60 s. A longer deadline is cut to it.
    pub hang_up_wait_max: Duration,
    /// Time for the carrier's REST interface to end the call: 3 s; then the socket is closed.
    pub rest_hang_up_max: Duration,
    /// Time for the carrier to come back with a new stream after keys were sent: 15 s; then it
    /// counts as lost.
    pub carrier_back_max: Duration,
    /// Time for the tenant to answer its last events: 2 s.
    pub ended_answer_max: Duration,
    /// Time without a word from the carrier: 60 s; then it counts as lost. It sends fifty messages a
    /// second, so a peer that vanished would otherwise keep its place until `call_max`.
    pub carrier_silence_max: Duration,
    /// The longest call: 4 h, the carrier's own default. It ends with the apology.
    pub call_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lead_min: Duration::from_millis(200),
            lead_max: Duration::from_millis(400),
            frames_per_message_max: 5,
            mark_grid: Duration::from_millis(200),
            mark_grace: Duration::from_secs(2),
            remainder_wait: Duration::from_millis(60),
            playout_max: Duration::from_secs(300),
            pieces_max: 32 * 1024,
            items_max: 256,
            name_bytes_max: 256,
            marks_max: 256,
            gap_tolerance: Duration::from_millis(40),
            gap_fill_max: Duration::from_secs(10),
            caller_audio_bytes_max: 8 * 1024,
            stall_after: Duration::from_millis(750),
            stall_fill: Duration::from_secs(1),
            events_max: 2048,
            events_bytes_max: 8 * 1024 * 1024,
            actions_max: 256,
            audio_per_answer_bytes_max: 256 * 1024,
            echoes_per_second_max: 1000,
            restarts_max: 3,
            restart_window: Duration::from_secs(60),
            tenant_start_max: Duration::from_secs(5),
            timers_max: 64,
            http_in_flight_max: 8,
            http_bytes_max: 128 * 1024,
            http_timeout_max: Duration::from_secs(30),
            publication_bytes_max: 64 * 1024,
            publications_per_second_max: 200,
            command_bytes_max: 64 * 1024,
            model_event_bytes_max: 256 * 1024,
            model_said_bytes_max: 256 * 1024,
            model_events_per_second_max: 2000,
            model_messages_per_second_max: 5000,
            model_blamed_per_second: 250,
            model_audio_bytes_max: 48 * 1024,
            held_bytes_max: 1024 * 1024,
            held_max: 2048,
            updates_pending_max: 16,
            model_connect_max: Duration::from_secs(15),
            session_confirm_max: Duration::from_secs(10),
            model_attempts_max: 6,
            model_backoff: Duration::from_millis(250),
            model_stable_after: Duration::from_secs(10),
            model_session_renew: Duration::from_secs(57 * 60),
            hang_up_wait_max: Duration::from_secs(60),
            rest_hang_up_max: Duration::from_secs(3),
            carrier_back_max: Duration::from_secs(15),
            ended_answer_max: Duration::from_secs(2),
            carrier_silence_max: Duration::from_secs(60),
            call_max: Duration::from_secs(4 * 60 * 60),
        }
    }
}
