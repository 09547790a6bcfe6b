//! Spoken clips: the ones the simulators speak with, which lie in this repository.

/// Mu-law at 8 kHz: 33 seconds.
pub(crate) const CLIPS: [&[u8]; 9] = [
    include_bytes!("../../../../host/sim/speech/caller_hours.8k.ulaw"),
    include_bytes!("../../../../host/sim/speech/caller_interruption.8k.ulaw"),
    include_bytes!("../../../../host/sim/speech/caller_ready.8k.ulaw"),
    include_bytes!("../../../../host/sim/speech/caller_goodbye.8k.ulaw"),
    include_bytes!("../../../../host/sim/speech/agent_greeting.8k.ulaw"),
    include_bytes!("../../../../host/sim/speech/agent_saturday.8k.ulaw"),
    include_bytes!("../../../../host/sim/speech/agent_sunday.8k.ulaw"),
    include_bytes!("../../../../host/sim/speech/agent_ready.8k.ulaw"),
    include_bytes!("../../../../host/sim/speech/agent_goodbye.8k.ulaw"),
];
