//! What may go wrong on one call, and how often.

use cordboard_model_tests::Dice;

/// Chances are per mille, each for the occasion named.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// The greatest length of the call, after which the caller hangs up.
    pub(crate) length_ms: u64,
    /// Delay of the line, each way.
    pub(crate) delay_ms: u64,
    /// Added to it, from 0.
    pub(crate) jitter_ms: u64,
    /// The gateway wakes up this much too late, from 0.
    pub(crate) late_ms: u64,
    /// A caller's frame is lost, per frame.
    pub(crate) loss: u64,
    /// The caller's audio stalls for up to 3 s, per frame.
    pub(crate) stall: u64,
    /// A caller's frame comes twice, per frame.
    pub(crate) duplicate: u64,
    /// A caller's frame is of odd size, per frame.
    pub(crate) odd: u64,
    /// The caller presses a key, per frame.
    pub(crate) key: u64,
    /// The caller hangs up, per frame.
    pub(crate) hang_up: u64,
    /// The carrier's socket drops, per frame.
    pub(crate) carrier_drop: u64,
    /// A mark's echo is lost, per mark.
    pub(crate) echo_loss: u64,
    /// The caller starts to speak, per 100 ms.
    pub(crate) barge_in: u64,
    /// The model's socket drops, per 100 ms.
    pub(crate) model_drop: u64,
    /// An attempt to connect fails, per attempt.
    pub(crate) connect_failure: u64,
    /// The model refuses for good, per attempt.
    pub(crate) refusal: u64,
    /// The session has other formats than asked for, per update.
    pub(crate) mismatch: u64,
    /// The tenant fails, per event.
    pub(crate) trap: u64,
    /// No fresh instance can be made, per restart.
    pub(crate) no_instance: u64,
    /// The tenant does something odd, per event.
    pub(crate) whim: u64,
    /// The longest the tenant takes to answer.
    pub(crate) thinking_ms: u64,
    /// The operator does something, per 100 ms.
    pub(crate) operator: u64,
    /// The gateway has REST credentials.
    pub(crate) rest: bool,
}

impl Weather {
    /// Nothing goes wrong, and the line has a constant delay.
    pub(crate) fn calm(delay_ms: u64) -> Self {
        Self {
            length_ms: 60_000,
            delay_ms,
            jitter_ms: 0,
            late_ms: 0,
            loss: 0,
            stall: 0,
            duplicate: 0,
            odd: 0,
            key: 0,
            hang_up: 0,
            carrier_drop: 0,
            echo_loss: 0,
            barge_in: 0,
            model_drop: 0,
            connect_failure: 0,
            refusal: 0,
            mismatch: 0,
            trap: 0,
            no_instance: 0,
            whim: 0,
            thinking_ms: 0,
            operator: 0,
            rest: false,
        }
    }

    /// Any mixture of troubles, some calls having none of one kind.
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let mut up_to = |most: u64| if dice.chance(500) { 0 } else { dice.between(0, most) };
        Self {
            length_ms: 5_000 + up_to(40_000),
            delay_ms: up_to(200),
            jitter_ms: up_to(300),
            late_ms: up_to(300),
            loss: up_to(30),
            stall: up_to(5),
            duplicate: up_to(20),
            odd: up_to(100),
            key: up_to(10),
            hang_up: up_to(2),
            carrier_drop: up_to(1),
            echo_loss: up_to(100),
            barge_in: up_to(60),
            model_drop: up_to(10),
            connect_failure: up_to(500),
            refusal: up_to(50),
            mismatch: up_to(200),
            trap: up_to(3),
            no_instance: up_to(200),
            whim: up_to(50),
            thinking_ms: up_to(60),
            operator: up_to(10),
            rest: up_to(1) == 1,
        }
    }
}
