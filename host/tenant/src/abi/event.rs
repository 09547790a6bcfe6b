//! Events on their way into a component.

use cordboard_call::contract as ours;

use super::types as theirs;

/// The event as the bindings have it.
pub(crate) fn event(event: ours::Event) -> theirs::Event {
    match event {
        ours::Event::Started(info) => theirs::Event::Started(call_info(info)),
        ours::Event::CallerAudio(frame) => theirs::Event::CallerAudio(frame),
        ours::Event::CallerKey(key) => theirs::Event::CallerKey(key),
        ours::Event::ModelReady(info) => theirs::Event::ModelReady(model_info(info)),
        ours::Event::ModelAudio(audio) => {
            let ours::ModelAudio { response, item, content_index, data } = audio;
            theirs::Event::ModelAudio(theirs::ModelAudio { response, item, content_index, data })
        }
        ours::Event::ModelEvent(json) => theirs::Event::ModelEvent(json),
        ours::Event::ModelLost(reason) => theirs::Event::ModelLost(reason),
        ours::Event::ModelRestored(info) => theirs::Event::ModelRestored(model_info(info)),
        ours::Event::Heard(item) => theirs::Event::Heard(heard(item)),
        ours::Event::Mark(name) => theirs::Event::Mark(name),
        ours::Event::Flushed(ours::Flushed { items, marks }) => {
            let items = items.into_iter().map(heard).collect();
            theirs::Event::Flushed(theirs::Flushed { items, marks })
        }
        ours::Event::Timer(token) => theirs::Event::Timer(token),
        ours::Event::HttpDone(response) => {
            let ours::HttpResponse { token, status, headers, body } = response;
            theirs::Event::HttpDone(theirs::HttpResponse { token, status, headers, body })
        }
        ours::Event::HttpFailed(ours::HttpFailure { token, reason }) => {
            theirs::Event::HttpFailed(theirs::HttpFailure { token, reason })
        }
        ours::Event::Command(json) => theirs::Event::Command(json),
        ours::Event::Refused(ours::Refusal { action, reason }) => {
            theirs::Event::Refused(theirs::Refusal { action, reason })
        }
        ours::Event::Ended(why) => theirs::Event::Ended(ended(why)),
    }
}

/// What `started` and `load` tell an instance about its call.
pub(crate) fn call_info(info: ours::CallInfo) -> theirs::CallInfo {
    let ours::CallInfo {
        call_id,
        stream_id,
        tenant,
        version,
        direction,
        caller,
        callee,
        format,
        parameters,
        settings,
        restarted,
    } = info;
    theirs::CallInfo {
        call_id,
        stream_id,
        tenant,
        version,
        direction: match direction {
            ours::Direction::Inbound => theirs::Direction::Inbound,
            ours::Direction::Outbound => theirs::Direction::Outbound,
        },
        caller,
        callee,
        format: theirs::AudioFormat {
            encoding: match format.encoding {
                ours::Encoding::Mulaw => theirs::Encoding::Mulaw,
                ours::Encoding::Alaw => theirs::Encoding::Alaw,
                ours::Encoding::Pcm16 => theirs::Encoding::Pcm16,
            },
            sample_rate: format.sample_rate,
            channels: format.channels,
        },
        parameters,
        settings,
        restarted,
    }
}

fn model_info(info: ours::ModelInfo) -> theirs::ModelInfo {
    let ours::ModelInfo { session, model, dialect } = info;
    let dialect = match dialect {
        ours::Dialect::Ga => theirs::Dialect::Ga,
        ours::Dialect::Beta => theirs::Dialect::Beta,
    };
    theirs::ModelInfo { session, model, dialect }
}

fn heard(heard: ours::Heard) -> theirs::Heard {
    let ours::Heard { item, millis, complete } = heard;
    theirs::Heard { item, millis, complete }
}

fn ended(why: ours::Ended) -> theirs::Ended {
    match why {
        ours::Ended::CallerHungUp => theirs::Ended::CallerHungUp,
        ours::Ended::TenantHungUp => theirs::Ended::TenantHungUp,
        ours::Ended::OperatorHungUp => theirs::Ended::OperatorHungUp,
        ours::Ended::Transferred => theirs::Ended::Transferred,
        ours::Ended::CarrierLost => theirs::Ended::CarrierLost,
        ours::Ended::ModelLost => theirs::Ended::ModelLost,
        ours::Ended::Drained => theirs::Ended::Drained,
        ours::Ended::Failed => theirs::Ended::Failed,
    }
}
