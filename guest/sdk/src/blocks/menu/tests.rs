//! The planner on menus as they are spoken.

use super::*;

fn settings() -> MenuSettings {
    MenuSettings {
        wants: vec![
            Want::new(["billing", "pay a bill"]),
            Want::new(["operator", "agent"]).weighing(0.6),
        ],
        ..MenuSettings::default()
    }
}

fn pressed(step: Option<Move>) -> String {
    match step {
        Some(Move::Press { keys, .. }) => keys,
        Some(Move::HangUp { why }) => format!("hang up: {why}"),
        None => String::new(),
    }
}

/// Lets the menu be read out, then asks for the decision.
fn after_pause(menu: &mut Menu) -> String {
    let Some(at) = menu.wake_at() else { return String::new() };
    assert_eq!(menu.due(at - 1), None, "not before its time");
    pressed(menu.due(at))
}

const SALES_OR_BILLS: &str = "For sales press 1. To talk about bills press 2.";

#[test]
fn an_exact_fit_is_pressed_at_once_and_a_partial_one_after_the_pause() {
    let mut menu = Menu::new(settings());
    assert_eq!(pressed(menu.heard(0, "For sales, press 1.")), "");
    assert_eq!(pressed(menu.heard(900, "For billing, press 2.")), "2");
    assert_eq!(menu.wake_at(), None);

    let mut menu = Menu::new(settings());
    assert_eq!(pressed(menu.heard(0, SALES_OR_BILLS)), "");
    assert_eq!(menu.wake_at(), Some(1_200));
    assert_eq!(after_pause(&mut menu), "2");
}

#[test]
fn a_better_option_further_down_the_menu_wins() {
    let mut menu = Menu::new(settings());
    menu.heard(0, "To speak to an agent press 0.");
    menu.heard(1_000, "For bills press 4.");
    assert_eq!(menu.wake_at(), Some(2_200), "every option puts the pause off");
    assert_eq!(after_pause(&mut menu), "0", "agent 0.6, half of \"pay bill\" 0.5");
    let mut menu = Menu::new(settings());
    menu.heard(0, "To speak to an agent press 0.");
    assert_eq!(pressed(menu.heard(1_000, "To pay a bill press 4.")), "4");
}

#[test]
fn an_option_that_comes_in_two_pieces_is_put_together() {
    let mut menu = Menu::new(settings());
    assert_eq!(pressed(menu.heard(0, "for sales press one for billing")), "");
    assert_eq!(pressed(menu.heard(800, "press two")), "2");
}

#[test]
fn the_reason_tells_how_the_score_came_about() {
    let mut menu = Menu::new(settings());
    let Some(Move::Press { why, .. }) = menu.heard(0, "For billing and payments press 2") else {
        panic!("it fits exactly");
    };
    assert_eq!(why, "\"billing payments\" names 1 of 1 words of \"billing\", weight 1: 1.00");
}

#[test]
fn somebody_who_still_speaks_is_waited_for_but_not_forever() {
    let mut menu = Menu::new(settings());
    menu.heard(0, SALES_OR_BILLS);
    menu.speaking(500, true);
    assert_eq!(menu.due(5_000), None);
    assert_eq!(menu.wake_at(), Some(10_500));
    menu.speaking(6_000, false);
    assert_eq!(menu.wake_at(), Some(7_200));
}

#[test]
fn the_late_rest_of_a_menu_is_not_taken_for_the_next_one() {
    let mut menu = Menu::new(settings());
    assert_eq!(pressed(menu.heard(0, "For billing press 2.")), "2");
    assert_eq!(menu.heard(700, "For an agent press 0."), None);
    assert_eq!(menu.wake_at(), None);
    menu.heard(4_000, "For an agent press 0.");
    assert_eq!(after_pause(&mut menu), "0");
}

#[test]
fn a_refused_key_is_tried_again_so_often_and_then_something_else() {
    let mut menu = Menu::new(settings());
    let text = "For billing press 2. For an operator press 9.";
    assert_eq!(pressed(menu.heard(0, text)), "2");
    for round in 1..=2 {
        let now = round * 10_000;
        let step = menu.heard(now, &format!("Sorry, that is not a valid option. {text}"));
        assert_eq!(pressed(step), "2", "round {round}");
    }
    menu.heard(30_000, &format!("I didn't get that. {text}"));
    assert_eq!(after_pause(&mut menu), "9");
}

#[test]
fn a_key_is_pressed_again_when_the_menu_only_asks_to_try_again() {
    let mut menu = Menu::new(settings());
    assert_eq!(pressed(menu.heard(0, "For billing press 2.")), "2");
    assert_eq!(menu.heard(5_000, "I didn't get that, please try again."), None);
    assert_eq!(menu.wake_at(), Some(9_200));
    assert_eq!(after_pause(&mut menu), "2");
}

#[test]
fn a_menu_that_is_simply_read_again_was_deaf_to_the_key() {
    let mut menu = Menu::new(settings());
    for round in 0..3 {
        assert_eq!(pressed(menu.heard(round * 9_000, "For billing press 2.")), "2");
    }
    assert_eq!(pressed(menu.heard(40_000, "For billing press 2.")), "0", "the last resort");
}

#[test]
fn a_key_that_leads_back_to_the_same_menu_is_not_pressed_there_again() {
    let mut menu = Menu::new(settings());
    let top = "For billing press 2. For an operator press 9.";
    assert_eq!(pressed(menu.heard(0, top)), "2");
    let below = "To pay a bill by mail press 5. For the main menu press 6.";
    assert_eq!(pressed(menu.heard(10_000, below)), "5");
    menu.heard(20_000, top);
    assert_eq!(after_pause(&mut menu), "9");
}

#[test]
fn a_circle_ends_in_the_end_of_the_call() {
    let mut menu = Menu::new(MenuSettings { last_resorts: vec![], ..settings() });
    let (mut now, mut steps) = (0, Vec::new());
    for round in 0..40 {
        let text =
            ["For billing press 2.", "For a bill press 3.", "To pay a bill press 4."][round % 3];
        let step = menu.heard(now, text);
        steps.push(if step.is_some() { pressed(step) } else { after_pause(&mut menu) });
        now += 20_000;
        if steps.last().is_some_and(|step| step.starts_with("hang up")) {
            break;
        }
    }
    assert_eq!(steps.last().expect("steps"), "hang up: no option fits", "{steps:?}");
}

#[test]
fn nothing_that_fits_leads_to_the_last_resorts_one_after_the_other() {
    let mut menu = Menu::new(MenuSettings {
        last_resorts: vec![LastResort::Press("0".into()), LastResort::HangUp("no way".into())],
        ..settings()
    });
    menu.heard(0, "For sales press 1. For opening hours press 2.");
    assert_eq!(after_pause(&mut menu), "0");
    menu.heard(20_000, "For red press 1. For blue press 2.");
    assert_eq!(after_pause(&mut menu), "hang up: no way");
}

#[test]
fn an_offer_to_stay_on_the_line_is_taken_by_doing_nothing() {
    let mut menu = Menu::new(settings());
    menu.heard(0, "For sales press 1. For an operator, stay on the line.");
    assert_eq!(after_pause(&mut menu), "");
    assert_eq!(menu.wake_at(), None);
}

#[test]
fn other_talk_presses_nothing() {
    let mut menu = Menu::new(settings());
    for text in ["Hello, this is Anna, how can I help you?", "Your call is important to us.", ""] {
        assert_eq!(menu.heard(0, text), None);
        assert_eq!(menu.wake_at(), None);
    }
}

#[test]
fn a_successor_after_any_event_goes_on_the_same_way_and_the_state_stays_small() {
    let script: Vec<String> = (0..60)
        .map(|n| match n % 6 {
            0 => format!("For billing press {n}."),
            1 => "Sorry, that was invalid.".into(),
            2 => "For sales press 1. To talk about a bill".into(),
            3 => "press 2.".into(),
            4 => format!("For an agent {n} press 3."),
            _ => "Please hold. ".repeat(20),
        })
        .collect();
    let run = |every: usize| {
        let mut menu = Menu::new(settings());
        let mut steps = Vec::new();
        for (n, text) in script.iter().enumerate() {
            let now = n as u64 * 2_500;
            steps.push(menu.due(now));
            steps.push(menu.heard(now, text));
            if n % every == 0 {
                let bytes = postcard::to_allocvec(menu.state()).expect("plain values");
                assert!(bytes.len() < 8_192, "{}", bytes.len());
                let state = postcard::from_bytes(&bytes).expect("just written");
                menu = Menu::resume(settings(), state);
            }
        }
        steps
    };
    let unswapped = run(usize::MAX);
    assert!(unswapped.iter().flatten().count() > 8);
    for every in [1, 2, 3, 7] {
        assert_eq!(run(every), unswapped, "every {every}");
    }
}

#[test]
fn settings_come_from_json_and_a_wrong_key_is_named() {
    let json = r#"{"wants": [{"phrases": ["Rechnung"]}], "words":
        {"press": ["drücken"], "between": ["sie", "die"], "openers": ["für"], "filler": ["eine"]}}"#;
    let settings: MenuSettings = serde_json::from_str(json).expect("valid settings");
    assert_eq!(settings.words.refused, MenuWords::english().refused, "what is missing is English");
    let mut menu = Menu::new(settings);
    assert_eq!(pressed(menu.heard(0, "Für eine Rechnung drücken Sie die 2")), "2");
    let error = serde_json::from_str::<MenuSettings>(r#"{"want": []}"#).expect_err("a typo");
    assert!(error.to_string().contains("want"));
}

#[test]
fn no_order_of_words_breaks_the_planner_or_its_bounds() {
    const WORDS: [&str; 20] = [
        "press",
        "2",
        "for",
        "billing",
        "or",
        "say",
        "#",
        "*",
        "star",
        "9",
        "stay on the line",
        ".",
        ",",
        "invalid",
        "to",
        "agent",
        "the",
        "ü",
        "",
        "?",
    ];
    let mut seed = 0x9E37_79B9_u64;
    let mut dice = |sides: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % sides
    };
    for _ in 0..300 {
        let mut menu = Menu::new(settings());
        let mut pressed = 0;
        for n in 0..60u64 {
            let text: Vec<&str> = (0..dice(15)).map(|_| WORDS[dice(WORDS.len())]).collect();
            let steps = [menu.heard(n * 700, &text.join(" ")), menu.due(n * 700 + 600)];
            for step in steps.into_iter().flatten() {
                if let Move::Press { keys, .. } = step {
                    assert!(keys.chars().all(|key| "0123456789*#".contains(key)), "{keys}");
                    pressed += 1;
                }
            }
        }
        assert!(pressed <= settings().presses_max, "{pressed}");
        let bytes = postcard::to_allocvec(menu.state()).expect("plain values");
        assert!(bytes.len() < 40_000, "{}", bytes.len());
    }
}
