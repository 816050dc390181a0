#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn message(topic: &str) -> Message {
    Message { topic: topic.into(), payload: Bytes::new(), expires: None, receipt: None }
}

/// Takes everything that may be written now, and says what: topic, `+` if it is marked as duplicate, packet identifier.
fn written(outbox: &mut Outbox) -> Vec<String> {
    let mut taken = Vec::new();
    while let Some(next) = outbox.take_next(Instant::now()) {
        taken.push(match next {
            Next::Message { message, packet_id, duplicate } => {
                format!("{}{} {packet_id}", message.topic, if duplicate { "+" } else { "" })
            }
            Next::Acknowledgement { packet_id } => format!("ack {packet_id}"),
        });
    }
    taken
}

fn connected() -> Outbox {
    let mut outbox = Outbox::default();
    outbox.connected(false, None, None);
    outbox
}

#[test]
fn nothing_goes_out_without_connection() {
    let mut outbox = Outbox::default();
    outbox.push(message("a"));
    assert!(outbox.take_next(Instant::now()).is_none());
    outbox.connected(false, None, None);
    assert_eq!(written(&mut outbox), ["a 1"]);
}

#[test]
fn messages_stay_until_acknowledged_and_the_window_holds() {
    let mut outbox = connected();
    for number in 0..WINDOW + 5 {
        outbox.push(message(&number.to_string()));
    }
    assert_eq!(written(&mut outbox).len(), usize::from(WINDOW));
    assert!(outbox.acknowledged(2, Progress::TakenOver).is_some());
    assert!(written(&mut outbox).is_empty(), "the oldest is not acknowledged");
    assert!(outbox.acknowledged(1, Progress::TakenOver).is_some());
    assert_eq!(written(&mut outbox).len(), 2);
    for unknown in [0, 1, 2, 600, SUBSCRIBE_ID] {
        assert_eq!(outbox.acknowledged(unknown, Progress::TakenOver), None, "{unknown}");
    }
    assert_eq!(outbox.load().0, usize::from(WINDOW) + 3, "an acknowledgement counts once");
}

#[test]
fn the_broker_may_want_fewer_at_a_time() {
    let mut outbox = Outbox::default();
    for topic in ["a", "b", "c", "d"] {
        outbox.push(message(topic));
    }
    outbox.connected(false, Some(3), None);
    assert_eq!(written(&mut outbox), ["a 1", "b 2", "c 3"]);
    outbox.disconnected();
    outbox.connected(true, Some(1), None);
    assert_eq!(written(&mut outbox), ["a+ 1"], "even of what is sent again");
    outbox.acknowledged(1, Progress::TakenOver);
    assert_eq!(written(&mut outbox), ["b+ 2"]);
}

#[test]
fn packet_identifiers_go_round() {
    let mut outbox = connected();
    for number in 0..2 * PACKET_IDS {
        outbox.push(message("a"));
        let packet_id = number % PACKET_IDS + 1;
        assert_eq!(written(&mut outbox), [format!("a {packet_id}")]);
        assert!(outbox.acknowledged(u16::try_from(packet_id).unwrap(), Progress::TakenOver).is_some());
    }
    assert_eq!(outbox.load(), (0, 0));
}

#[test]
fn a_lost_session_brings_everything_again_in_order() {
    let mut outbox = connected();
    for topic in ["a", "b", "c"] {
        outbox.push(message(topic));
    }
    written(&mut outbox);
    outbox.acknowledged(2, Progress::TakenOver);
    outbox.push(message("d"));
    outbox.disconnected();
    assert_eq!(outbox.connected(false, None, None), 2);
    assert_eq!(written(&mut outbox), ["a 1", "c 3", "d 4"]);
    for packet_id in [4, 3, 1] {
        outbox.acknowledged(packet_id, Progress::TakenOver);
    }
    assert!(outbox.is_drained());
    assert_eq!(outbox.load(), (0, 0));
}

#[test]
fn a_resumed_session_goes_on_with_duplicates() {
    let mut outbox = connected();
    outbox.push(message("a"));
    outbox.push(message("b"));
    written(&mut outbox);
    outbox.push(message("c"));
    outbox.disconnected();
    assert_eq!(outbox.acknowledged(1, Progress::TakenOver), None, "not on this connection");
    assert_eq!(outbox.connected(true, None, None), 0);
    assert_eq!(written(&mut outbox), ["a+ 1", "b+ 2", "c 3"]);
}

#[test]
fn what_is_of_no_use_is_not_sent() {
    let mut outbox = Outbox::default();
    let (sender, withdrawn) = oneshot::channel();
    outbox.push(Message { receipt: Some(Waiter { progress: sender, left: Arc::default() }), ..message("withdrawn") });
    drop(withdrawn);
    let (sender, mut expired) = oneshot::channel();
    outbox.push(Message {
        receipt: Some(Waiter { progress: sender, left: Arc::default() }),
        expires: Some(Instant::now()),
        ..message("expired")
    });
    let (sender, mut large) = oneshot::channel();
    outbox.push(Message {
        receipt: Some(Waiter { progress: sender, left: Arc::default() }),
        payload: vec![0; 100].into(),
        ..message("large")
    });
    outbox.push(message("b"));
    outbox.connected(true, None, Some(100));
    assert_eq!(written(&mut outbox), ["b 1"]);
    assert_eq!((expired.try_recv(), large.try_recv()), (Ok(Progress::Lost), Ok(Progress::Lost)));
    assert_eq!(outbox.load().0, 1);
}

#[test]
fn withdrawn_messages_do_not_keep_a_link_open() {
    let mut outbox = Outbox::default();
    let (sender, receiver) = oneshot::channel();
    outbox.push(Message { receipt: Some(Waiter { progress: sender, left: Arc::default() }), ..message("a") });
    assert!(!outbox.is_drained());
    drop(receiver);
    assert!(outbox.is_drained());
    assert_eq!(outbox.load(), (0, 0));

    let (sender, receiver) = oneshot::channel();
    outbox.push(Message { receipt: Some(Waiter { progress: sender, left: Arc::default() }), ..message("b") });
    outbox.connected(true, None, None);
    written(&mut outbox);
    drop(receiver);
    assert!(!outbox.is_drained(), "it may be acknowledged any moment");
    outbox.disconnected();
    assert!(outbox.is_drained());
}

#[test]
fn acknowledgements_keep_the_order_of_arrival_and_follow_answers() {
    let mut outbox = connected();
    let first = outbox.arrived(7);
    let second = outbox.arrived(8);
    outbox.push(message("to-8"));
    outbox.acknowledge(second.0, second.1);
    assert_eq!(written(&mut outbox), ["to-8 1"]);
    outbox.push(message("to-7"));
    outbox.acknowledge(first.0, first.1);
    assert_eq!(written(&mut outbox), ["to-7 2", "ack 7", "ack 8"]);
}

#[test]
fn acknowledgements_of_an_earlier_connection_are_void() {
    let mut outbox = connected();
    let old = outbox.arrived(7);
    let waiting = outbox.arrived(9);
    outbox.acknowledge(old.0, old.1);
    outbox.disconnected();
    outbox.connected(true, None, None);
    let again = outbox.arrived(3);
    outbox.acknowledge(waiting.0, waiting.1);
    assert!(written(&mut outbox).is_empty());
    outbox.acknowledge(again.0, again.1);
    assert_eq!(written(&mut outbox), ["ack 3"]);
}

#[test]
fn a_message_that_ends_every_connection_is_sent_alone_and_then_given_up() {
    let mut outbox = connected();
    for topic in ["bad", "good"] {
        outbox.push(message(topic));
    }
    for attempt in 0..GIVE_UP_AFTER {
        let expected = if attempt < SUSPECT_AFTER { 2 } else { 1 };
        assert_eq!(written(&mut outbox).len(), expected, "attempt {attempt}");
        let given_up = outbox.disconnected();
        assert_eq!(given_up.is_some(), attempt + 1 == GIVE_UP_AFTER, "attempt {attempt}");
        outbox.connected(true, None, None);
    }
    assert_eq!(written(&mut outbox), ["good+ 2"]);
    outbox.acknowledged(2, Progress::TakenOver);
    assert_eq!(outbox.load(), (0, 0));
}

#[test]
fn a_message_is_not_blamed_for_connections_on_which_it_was_not_sent() {
    let mut outbox = connected();
    outbox.push(message("a"));
    written(&mut outbox);
    for _ in 0..3 * GIVE_UP_AFTER {
        assert!(outbox.disconnected().is_none() || !outbox.is_drained());
        outbox.connected(true, None, None);
    }
    assert_eq!(written(&mut outbox), ["a+ 1"]);
}
