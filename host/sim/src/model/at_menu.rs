//! A model for a call to a telephone menu: it knows everything the menu says, and has the caller's lines ready.

use crate::carrier::menu::{Menu, Place};

use super::script::{Answer, Known, ModelScript};

impl ModelScript {
    /// Knows a menu's announcements and people by their sound, and answers a person with the line that the file has for it. Whatever
    /// else it is asked to answer, it answers with `otherwise`.
    pub fn at_menu(menu: &Menu) -> Self {
        let people = menu.places.values().filter_map(|place| match place {
            Place::Person(person) => Some(person),
            Place::Menu(_) | Place::Hold(_) => None,
        });
        let lines: Vec<(&str, Option<&str>)> = people.flat_map(|it| it.exchanges()).collect();
        let mut known: Vec<Known> = Vec::new();
        for (words, speaker) in menu.said() {
            let line = lines.iter().find(|(line, _)| *line == words);
            known.push(Known {
                words: words.into(),
                sound: menu.utterance(words, speaker).ulaw,
                answer: line.and_then(|(_, answer)| *answer).map(Answer::words),
            });
        }
        let otherwise = Answer::words("One moment, please.");
        Self { otherwise, ..Self::new(Answer::words("Hello."), []) }.knowing(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_line_has_its_answer_and_an_announcement_none() {
        let menu = Menu::parse(include_str!("../../menus/power-company.toml")).unwrap();
        let script = ModelScript::at_menu(&menu);
        let answer = |words: &str| {
            script.known.iter().find(|it| it.words == words).expect("it is said").answer.clone()
        };
        assert_eq!(answer("I did not get that."), None);
        let line = "Hello. Could you please send my last invoice again?";
        assert_eq!(
            answer("Billing, this is Maria. How can I help you?"),
            Some(Answer::words(line))
        );
    }
}
