//! One story: what is done at both ends, and what happens to the link and to the CSEs meanwhile.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Context, Operation, Request, ResponseType};
use cse_core::schema::Ty;
use cse_core::time::AbsRelTimestamp;
use tokio::time::sleep;

use crate::check;
use crate::clients::{self, Manner, json};
use crate::link::run_broker;
use crate::random::Random;
use crate::world::{End, World};

/// Where the originals are that come and go.
const PATHS: [&str; 4] = ["cse-mn/sensor/a", "cse-mn/sensor/a/b", "cse-mn/sensor/a/b/c", "cse-mn/sensor/d"];

/// Tells the story of a seed; returns what is wrong in the end.
pub async fn tell(world: &Arc<World>, seed: u64) -> Vec<String> {
    for end in End::BOTH {
        tokio::spawn(run_broker(Arc::clone(world), end));
    }
    world.tell(|| format!("seed {seed}: {:?}", world.link.weather));
    let mut story = Story { world: Arc::clone(world), random: Random::new(seed.wrapping_mul(2) + 1), count: 0 };
    story.begin().await;
    world.link.set_calm(false);
    for _ in 0..story.random.below(31) + 30 {
        story.step().await;
    }
    story.heal().await;
    check::problems(world).await
}

struct Story {
    world: Arc<World>,
    random: Random,
    /// Requests of AEs so far.
    count: u64,
}

impl Story {
    /// Both CSEs are registered with one another, an AE with each, and each AE with a subscription at the other CSE.
    async fn begin(&mut self) {
        for end in End::BOTH {
            self.world.start(end).await;
        }
        assert!(check::within(&self.world, Duration::from_secs(60), check::is_registered).await, "not registered");
        for end in End::BOTH {
            let policy = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},
                "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
            self.administer(end, end.base(), Ty::ACCESS_CONTROL_POLICY, policy).await;
            let log = format!(r#"{{"m2m:cnt":{{"rn":"log","acpi":["{}/all"]}}}}"#, end.base());
            self.administer(end, end.base(), Ty::CONTAINER, &log).await;
            let name = if end == End::Mn { "sensor" } else { "app" };
            let ae = format!(
                r#"{{"m2m:ae":{{"rn":"{name}","api":"Ntest","rr":true,"srv":["3"],"acpi":["{}/all"]}}}}"#,
                end.base()
            );
            let mut request = self.request(end, Operation::Create, end.base());
            request.resource_type = Some(Ty::AE);
            request.content = Some(json(&ae));
            self.ask(end, request).await.expect_created();
        }
        for end in End::BOTH {
            let content = format!(
                r#"{{"m2m:sub":{{"rn":"sub","nu":["{}/{}"],"enc":{{"net":[3]}},"nct":1}}}}"#,
                end.cse_id(),
                end.ae()
            );
            let mut request = self.request(end, Operation::Create, &log_at(end.other()));
            request.resource_type = Some(Ty::SUBSCRIPTION);
            request.content = Some(json(&content));
            self.ask(end, request).await.expect_created();
        }
    }

    async fn administer(&mut self, end: End, to: &str, ty: Ty, content: &str) {
        let mut request = self.request(end, Operation::Create, to);
        request.from = Some("CAdmin".into());
        request.resource_type = Some(ty);
        request.content = Some(json(content));
        let response = self.world.carry_out(end, &request, Context::default()).await.expect("it is there");
        assert_eq!(response.status, Rsc::Created, "{:?}", response.debug_text());
    }

    /// A request of the AE at that end.
    fn request(&mut self, by: End, operation: Operation, to: &str) -> Request {
        self.count += 1;
        Request::new(operation, to, by.ae(), format!("r{}", self.count))
    }

    async fn ask(&mut self, by: End, request: Request) -> Answer {
        let (operation, to) = (request.operation, request.to.clone());
        let content = request.content.as_ref().map(|content| serde_json::to_string(content).unwrap());
        let response = clients::ask(&self.world, by, &request, false).await;
        let status = response.as_ref().map(|response| response.status);
        let content = content.unwrap_or_default();
        self.world.tell(|| format!("{} {operation} {to} {content}: {status:?}", by.ae()));
        Answer(status)
    }

    async fn step(&mut self) {
        match self.random.below(100) {
            0..45 => self.change_an_original().await,
            45..72 => self.create_an_instance(),
            72..82 => self.let_fail(),
            _ => {
                let most = *self.random.pick(&[300, 3_000, 20_000]);
                sleep(self.random.millis(0, most)).await;
            }
        }
        if self.random.chance(60) {
            sleep(self.random.millis(0, 200)).await;
        }
    }

    async fn change_an_original(&mut self) {
        if !self.world.is_up(End::Mn) {
            return;
        }
        let path = *self.random.pick(&PATHS);
        let (parent, name) = path.rsplit_once('/').unwrap();
        let update = |story: &mut Self, content: &str| {
            let mut request = story.request(End::Mn, Operation::Update, path);
            request.content = Some(json(&format!(r#"{{"m2m:cnt":{content}}}"#)));
            request
        };
        let request = match self.random.below(10) {
            0 | 1 => {
                let at = if self.random.chance(30) { "" } else { r#","at":["/id-in"]"# };
                let et = match self.random.chance(15) {
                    true => format!(r#","et":"{}""#, self.world.now().plus(self.random.millis(1_000, 90_000))),
                    false => String::new(),
                };
                let mut request = self.request(End::Mn, Operation::Create, parent);
                request.resource_type = Some(Ty::CONTAINER);
                request.content = Some(json(&format!(r#"{{"m2m:cnt":{{"rn":"{name}","mni":3{at}{et}}}}}"#)));
                request
            }
            2 => self.request(End::Mn, Operation::Delete, path),
            3 => update(self, r#"{"at":["/id-in"]}"#),
            4 => update(self, r#"{"at":null}"#),
            5 | 6 => {
                let content =
                    format!(r#"{{"lbl":["{}"],"mbs":{}}}"#, self.random.below(5), 1_000 + self.random.below(5));
                update(self, &content)
            }
            7 => {
                let aa = *self.random.pick(&["null", r#"["mbs"]"#, r#"["mni","mbs"]"#]);
                update(self, &format!(r#"{{"aa":{aa}}}"#))
            }
            8 => {
                let mut request = self.request(End::Mn, Operation::Create, path);
                request.resource_type = Some(Ty::CONTENT_INSTANCE);
                let content = self.random.below(9);
                request.content =
                    Some(json(&format!(r#"{{"m2m:cin":{{"con":"{content}","at":["/id-in"],"aa":["con"]}}}}"#)));
                request
            }
            _ => {
                let mut request = self.request(End::Mn, Operation::Update, "cse-mn/sensor");
                let at = *self.random.pick(&["null", r#"["/id-in"]"#]);
                let label = self.random.below(5);
                request.content = Some(json(&format!(r#"{{"m2m:ae":{{"at":{at},"lbl":["{label}"]}}}}"#)));
                request
            }
        };
        self.ask(End::Mn, request).await;
    }

    /// By an AE here or at the other CSE, blocking or not.
    fn create_an_instance(&mut self) {
        let by = *self.random.pick(&End::BOTH);
        let at = if self.random.chance(75) { by.other() } else { by };
        let mut request = self.request(by, Operation::Create, &log_at(at));
        let content = format!("{}-{}", by.ae(), self.count);
        request.resource_type = Some(Ty::CONTENT_INSTANCE);
        request.content = Some(json(&format!(r#"{{"m2m:cin":{{"con":"{content}"}}}}"#)));
        request.response_type = match self.random.below(6) {
            0 => ResponseType::NonBlockingSynch,
            1 => ResponseType::NonBlockingAsynch,
            _ => ResponseType::Blocking,
        };
        if self.random.chance(20) {
            let time = self.random.millis(500, 40_000);
            request.request_expiration = Some(AbsRelTimestamp::Relative(time));
        }
        let comes_again = self.random.chance(15).then(|| self.random.millis(1, 15_000));
        let manner = Manner { is_patient: self.random.chance(70), comes_again };
        let response_type = request.response_type;
        self.world.tell(|| format!("{} creates {content} at {}: {response_type:?} {manner:?}", by.ae(), at.name()));
        clients::create(&self.world, by, at, content, request, manner);
    }

    fn let_fail(&mut self) {
        let end = *self.random.pick(&End::BOTH);
        let world = Arc::clone(&self.world);
        match self.random.below(10) {
            0..3 if !world.link.is_cut() => {
                let most = *self.random.pick(&[2_000, 20_000, 90_000]);
                let time = self.random.millis(100, most);
                world.link.set_cut(&world, true);
                tokio::spawn(async move {
                    sleep(time).await;
                    world.link.set_cut(&world, false);
                });
            }
            3 | 4 if !world.devices.is_away(end) => {
                let time = self.random.millis(100, 20_000);
                world.tell(|| format!("{} is away for {} ms", end.ae(), time.as_millis()));
                world.devices.set_away(end, true);
                tokio::spawn(async move {
                    sleep(time).await;
                    world.devices.set_away(end, false);
                });
            }
            5.. => {
                let before = self.random.millis(0, 100);
                let most = *self.random.pick(&[50, 2_000, 60_000]);
                let away = self.random.millis(10, most);
                if end == End::Mn && self.random.chance(30) {
                    world.move_mn(&mut self.random);
                }
                tokio::spawn(async move {
                    sleep(before).await;
                    if world.is_up(end) {
                        world.crash(end);
                        sleep(away).await;
                        world.start(end).await;
                    }
                });
            }
            _ => {}
        }
    }

    /// Everything is there again and stays so; waits until there is nothing left to do.
    async fn heal(&mut self) {
        let world = &self.world;
        world.tell(|| "everything heals".into());
        world.link.set_calm(true);
        world.link.set_cut(world, false);
        for end in End::BOTH {
            world.devices.set_away(end, false);
        }
        // Those that are down come back by themselves, and cuts and absences end for good.
        sleep(Duration::from_secs(120)).await;
        world.link.set_cut(world, false);
        if !check::within(world, Duration::from_secs(3_600), check::is_quiet).await {
            world.tell(|| "there is still something to do".into());
        }
        // Nothing begins anew by itself.
        sleep(Duration::from_secs(90)).await;
    }
}

fn log_at(end: End) -> String {
    format!("{}/{}/log", end.cse_id(), end.base())
}

struct Answer(Option<Rsc>);

impl Answer {
    #[track_caller]
    fn expect_created(self) {
        assert_eq!(self.0, Some(Rsc::Created));
    }
}
