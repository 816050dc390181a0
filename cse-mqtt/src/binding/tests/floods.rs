//! More requests than there are places, of one originator and of many.

use super::*;

/// A request that runs alone.
fn update(from: &str, to: &str, rqi: &str) -> String {
    format!(r#"{{"op":3,"to":"{to}","fr":"{from}","rqi":"{rqi}","rvi":"3","pc":{{"m2m:cnt":{{}}}}}}"#)
}

impl Bench {
    async fn update(&mut self, to: &str, rqi: &str) {
        self.send("/oneM2M/req/Cx/id-in/json", update("Cx", to, rqi)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_wait_and_then_no_more_are_taken() {
    let options = BindingOptions { concurrent_requests_max: 4, waiting_requests_max: 8, ..BindingOptions::default() };
    let mut bench = Bench::with(options, FakePublisher::default(), None);
    for number in 1..=100 {
        bench.request_of(&format!("C{number}"), "wait", &number.to_string()).await;
    }
    bench.until("the places are taken", |bench| bench.stats.received.get() == 12).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((bench.stats.received.get(), bench.stats.dispatched.get()), (12, 4));
    bench.stub.gate.add_permits(100);
    bench.until("all are answered", |bench| bench.stats.answered.get() == 100).await;
    assert_eq!(bench.stub.concurrent.1.load(Ordering::SeqCst), 4);
    assert_eq!(bench.begun(), (1..=100).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn answers_to_our_requests_pass_waiting_requests() {
    let options = BindingOptions { concurrent_requests_max: 1, waiting_requests_max: 1, ..BindingOptions::default() };
    let mut bench = Bench::with(options, FakePublisher::default(), None);
    for rqi in ["1", "2", "3"] {
        bench.request("wait", rqi).await;
    }
    bench.until("nothing more is taken", |bench| bench.stats.received.get() == 2).await;
    bench.send("/oneM2M/resp/id-in/Cx/json", r#"{"rsc":2000,"rqi":"n1"}"#).await;
    bench.until("the answer is looked at", |bench| bench.stats.responses_unmatched.get() == 1).await;
    assert_eq!(*bench.log.lock(), ["ack 4"]);
    assert_eq!((bench.stats.received.get(), bench.stats.dispatched.get()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn who_floods_behind_a_request_that_hangs_is_refused_and_hinders_nobody() {
    let options =
        BindingOptions { waiting_requests_max: 4, waiting_per_originator_max: 3, ..BindingOptions::default() };
    let mut bench = Bench::with(options, FakePublisher::default(), None);
    bench.update("wait", "hangs").await;
    for number in 1..=10 {
        bench.update("a", &number.to_string()).await;
    }
    bench.request_of("Cy", "a", "other").await;
    bench.until("the other is answered", |bench| bench.stats.answered.get() == 8).await;
    let code = Error::Busy("").rsc().code();
    let refused = (4..=10).map(|number| format!("answer /oneM2M/resp/Cx/id-in/json {code} {number}"));
    let expected: Vec<_> = refused
        .chain(["answer /oneM2M/resp/Cy/id-in/json 2000 other".to_owned()])
        .zip(5..)
        .flat_map(|(answer, number)| [answer, format!("ack {number}")])
        .collect();
    assert_eq!(*bench.log.lock(), expected, "each is answered, then acknowledged");
    assert_eq!((bench.stats.refused_as_too_many.get(), bench.begun()), (7, vec!["hangs".into(), "other".into()]));
    bench.stub.gate.add_permits(1);
    bench.until("all are answered", |bench| bench.stats.answered.get() == 12).await;
    assert_eq!(bench.begun(), ["hangs", "other", "1", "2", "3"], "those taken keep their order");
    // There is room again, under the identifier of one that was refused, too.
    bench.update("a", "4").await;
    bench.until("it is carried out", |bench| bench.begun().len() == 6).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_sent_to_who_wants_no_answer() {
    let options = BindingOptions { waiting_per_originator_max: 0, ..BindingOptions::default() };
    let mut bench = Bench::with(options, FakePublisher::default(), None);
    bench.update("wait", "1").await;
    bench.send("/oneM2M/req/Cx/id-in/json", r#"{"op":2,"to":"a","fr":"Cx","rqi":"2","rt":{"rtv":5}}"#).await;
    bench.until("it is refused", |bench| bench.stats.refused_as_too_many.get() == 1).await;
    assert_eq!(*bench.log.lock(), ["ack 2"]);
}

#[tokio::test(start_paused = true)]
async fn one_originator_does_not_take_all_places_of_those_carried_out() {
    let options = BindingOptions { concurrent_requests_max: 8, ..BindingOptions::default() };
    let mut bench = Bench::with(options, FakePublisher::default(), None);
    for number in 1..=100 {
        bench.request("wait", &number.to_string()).await;
    }
    bench.request_of("Cy", "a", "other").await;
    bench.until("the other is answered", |bench| bench.stats.answered.get() == 1).await;
    assert_eq!(bench.begun(), ["1", "2", "other"], "a quarter");
    bench.stub.gate.add_permits(100);
    bench.until("all are answered", |bench| bench.stats.answered.get() == 101).await;
    assert_eq!(bench.stub.concurrent.1.load(Ordering::SeqCst), 3);
    assert_eq!(bench.begun()[3..], (3..=100).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_that_finds_no_room_is_no_reason_to_carry_out_twice() {
    let options = BindingOptions { waiting_per_originator_max: 1, ..BindingOptions::default() };
    let recall = Some(Recall::Followed(FollowedAnswers::new(10)));
    let mut bench = Bench::with(options, FakePublisher::default(), recall);
    bench.update("wait", "1").await;
    bench.update("a", "2").await;
    bench.send_with("/oneM2M/req/Cx/id-in/json", update("Cx", "wait", "1").as_bytes(), true).await;
    bench.until("it is refused", |bench| bench.stats.refused_as_too_many.get() == 1).await;
    bench.stub.gate.add_permits(2);
    bench.until("all are answered", |bench| bench.stats.answered.get() == 3).await;
    assert_eq!(bench.begun(), ["1", "2"]);
    // Sent again, it is recognized as ever.
    bench.send_with("/oneM2M/req/Cx/id-in/json", update("Cx", "wait", "1").as_bytes(), true).await;
    bench.until("it comes to the CSE", |bench| bench.begun().len() == 3).await;
    assert_eq!(bench.stub.requests.lock()[2].context.redelivery, Redelivery::Possible);
}
