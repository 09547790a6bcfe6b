//! The conversation: items in order, how much audio each has, and what may be done to them.

use serde_json::{Value, json};

use super::refusal::Refusal;

/// An item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The item as the server writes it.
    pub value: Value,
    /// Audio generated so far (assistant) or committed (user), in ms. `None` for an item that never has audio.
    pub audio_ms: Option<f64>,
}

impl Item {
    /// Returns its id.
    pub fn id(&self) -> &str {
        self.value["id"].as_str().unwrap_or_default()
    }
}

/// All items of a session.
#[derive(Debug, Default)]
pub struct Conversation {
    items: Vec<Item>,
}

impl Conversation {
    /// Appends an item and returns the id before it.
    pub fn push(&mut self, item: Item) -> Option<String> {
        let previous = self.items.last().map(|last| last.id().to_owned());
        self.items.push(item);
        previous
    }

    /// Inserts an item behind `previous` (`root` for the front) and returns the id before it.
    pub fn insert(
        &mut self,
        item: Item,
        previous: Option<&str>,
    ) -> Result<Option<String>, Refusal> {
        let place = match previous {
            None => return Ok(self.push(item)),
            Some("root") => 0,
            Some(id) => match self.items.iter().position(|known| known.id() == id) {
                Some(place) => place + 1,
                None => {
                    let message = format!(
                        "Error inserting item: previous item with id '{id}' does not exist."
                    );
                    return Err(Refusal::new(
                        "item_create_invalid_previous_item_id",
                        Some("previous_item_id"),
                        message,
                    ));
                }
            },
        };
        self.items.insert(place, item);
        Ok(place.checked_sub(1).map(|before| self.items[before].id().to_owned()))
    }

    /// Returns an item.
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id() == id)
    }

    /// Returns an item to change.
    pub fn item_mut(&mut self, id: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id() == id)
    }

    /// Returns the last item's id.
    pub fn last_id(&self) -> Option<&str> {
        self.items.last().map(Item::id)
    }

    /// Returns the id of the item before this one.
    pub fn previous_id(&self, id: &str) -> Option<&str> {
        let place = self.items.iter().position(|item| item.id() == id)?;
        place.checked_sub(1).map(|before| self.items[before].id())
    }

    /// Returns whether a function call with this id is there.
    pub fn has_call(&self, call_id: &str) -> bool {
        self.items
            .iter()
            .any(|item| item.value["type"] == "function_call" && item.value["call_id"] == call_id)
    }

    /// Returns whether the assistant has produced audio.
    pub fn has_assistant_audio(&self) -> bool {
        self.items
            .iter()
            .any(|i| i.value["role"] == "assistant" && i.audio_ms.is_some_and(|ms| ms > 0.0))
    }

    /// Cuts an assistant's audio at `audio_end_ms`; its transcript goes altogether.
    ///
    /// `undercount_ms` is how much less the server believes to have sent than it did, as has been observed.
    pub fn truncate(
        &mut self,
        id: &str,
        audio_end_ms: u64,
        undercount_ms: f64,
    ) -> Result<(), Refusal> {
        let Some(item) = self.item_mut(id) else {
            return Err(unknown_item("truncate", id));
        };
        let message = "Only model output audio messages can be truncated";
        let unsupported = || Refusal::new("unsupported_content_type", None, message);
        if item.value["role"] != "assistant" {
            return Err(unsupported());
        }
        let generated = item.audio_ms.filter(|&ms| ms > 0.0).ok_or_else(unsupported)?;
        let counted = (generated - undercount_ms).max(0.0);
        // The service counts whole ms; a client that rounds down the bytes it received is never beyond.
        if audio_end_ms as f64 > counted.ceil() {
            let message = format!(
                "Audio content of {}ms is already shorter than {audio_end_ms}ms",
                counted.floor()
            );
            return Err(Refusal::new("invalid_value", None, message));
        }
        // 0 leaves an item that had audio: a second 0 is as good as the first.
        item.audio_ms = Some((audio_end_ms as f64).max(f64::MIN_POSITIVE));
        for part in item.value["content"].as_array_mut().into_iter().flatten() {
            if part["type"] == "output_audio" {
                part["transcript"] = Value::Null;
            }
        }
        Ok(())
    }

    /// Removes an item.
    pub fn delete(&mut self, id: &str) -> Result<(), Refusal> {
        let place = self.items.iter().position(|item| item.id() == id);
        match place {
            Some(place) => {
                self.items.remove(place);
                Ok(())
            }
            None => Err(unknown_item("delete", id)),
        }
    }
}

/// The error for an id nobody knows.
pub fn unknown_item(verb: &'static str, id: &str) -> Refusal {
    let (code, word) = match verb {
        "truncate" => ("item_truncate_invalid_item_id", "truncating"),
        "delete" => ("item_delete_invalid_item_id", "deleting"),
        _ => ("item_retrieve_invalid_item_id", "retrieving"),
    };
    Refusal::new(
        code,
        Some("item_id"),
        format!("Error {word} item: the item with id '{id}' does not exist."),
    )
}

/// Writes the content of an assistant's message that is still empty.
pub fn assistant_message(id: &str) -> Value {
    json!({
        "id": id,
        "object": "realtime.item",
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_is_bounded_by_what_was_generated() {
        let mut conversation = spoken(1000.0);
        assert_eq!(code(conversation.truncate("a", 1001, 0.0)), "invalid_value");
        assert_eq!(conversation.truncate("a", 1000, 0.0), Ok(()));
        assert_eq!(conversation.truncate("a", 400, 0.0), Ok(()));
        assert_eq!(code(conversation.truncate("a", 500, 0.0)), "invalid_value");
        assert_eq!(conversation.truncate("a", 0, 0.0), Ok(()));
        assert_eq!(conversation.truncate("a", 0, 0.0), Ok(()));
        assert_eq!(conversation.item("a").unwrap().value["content"][0]["transcript"], Value::Null);
    }

    #[test]
    fn the_server_may_count_a_little_less_than_it_sent() {
        let mut conversation = spoken(1000.0);
        let refusal = conversation.truncate("a", 950, 85.0).unwrap_err();
        assert_eq!(refusal.message, "Audio content of 915ms is already shorter than 950ms");
    }

    #[test]
    fn items_without_audio_and_unknown_items_are_refused() {
        let mut conversation = spoken(0.0);
        assert_eq!(code(conversation.truncate("a", 0, 0.0)), "unsupported_content_type");
        assert_eq!(code(conversation.truncate("b", 0, 0.0)), "item_truncate_invalid_item_id");
        assert_eq!(code(conversation.delete("b")), "item_delete_invalid_item_id");
        conversation.push(Item { value: json!({"id": "u", "role": "user"}), audio_ms: Some(50.0) });
        assert_eq!(code(conversation.truncate("u", 0, 0.0)), "unsupported_content_type");
    }

    #[test]
    fn items_are_inserted_where_asked() {
        let mut conversation = spoken(0.0);
        let item = |id: &str| Item { value: json!({ "id": id }), audio_ms: None };
        assert_eq!(conversation.insert(item("b"), Some("a")).unwrap().as_deref(), Some("a"));
        assert_eq!(conversation.insert(item("r"), Some("root")).unwrap(), None);
        assert_eq!(conversation.insert(item("c"), None).unwrap().as_deref(), Some("b"));
        assert!(conversation.insert(item("x"), Some("nobody")).is_err());
    }

    fn spoken(ms: f64) -> Conversation {
        let mut conversation = Conversation::default();
        let mut value = assistant_message("a");
        value["content"] = json!([{"type": "output_audio", "transcript": "words"}]);
        conversation.push(Item { value, audio_ms: Some(ms) });
        conversation
    }

    fn code(outcome: Result<(), Refusal>) -> &'static str {
        outcome.unwrap_err().code.unwrap()
    }
}
