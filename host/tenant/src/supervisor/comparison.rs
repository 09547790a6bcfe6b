//! Whether a candidate says as much as the version it is to replace.
//!
//! What is said may differ: that is what a new version is for. How much audio goes each way may not, or
//! the caller or the model would hear a gap, a repeat, or another format in the middle of a session.

use cordboard_call::contract::Action;

/// Bytes of audio in one answer, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AudioOut {
    to_caller: usize,
    to_model: usize,
}

impl AudioOut {
    pub(super) fn of(actions: &[Action]) -> Self {
        let mut sum = Self::default();
        for action in actions {
            match action {
                Action::Play(play) => sum.to_caller += play.audio.len(),
                Action::ModelAudio(audio) => sum.to_model += audio.len(),
                Action::Mark(_)
                | Action::Flush
                | Action::ModelEvent(_)
                | Action::SetTimer(_)
                | Action::CancelTimer(_)
                | Action::Http(_)
                | Action::HangUp(_)
                | Action::CancelHangUp
                | Action::Transfer(_)
                | Action::SendKeys(_)
                | Action::Publish(_) => {}
            }
        }
        sum
    }

    /// What is wrong with the candidate's amount, if anything.
    pub(super) fn difference(&self, candidate: &Self) -> Option<String> {
        let ways = [
            ("the caller", self.to_caller, candidate.to_caller),
            ("the model", self.to_model, candidate.to_model),
        ];
        ways.into_iter().find(|(_, old, new)| old != new).map(|(whom, old, new)| {
            format!(
                "for one event the new version sends {whom} {new} bytes of audio, the old one {old}"
            )
        })
    }
}
