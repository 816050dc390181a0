//! The way of the CSE's own requests: by HTTP or MQTT, as their destination says.

mod registrar_http;

use std::sync::Arc;

use cse_core::ports::{BoxFuture, Destination, Outbound, OutgoingRequest, SendError, Sent};
use cse_core::value::Text;

pub(crate) use registrar_http::RegistrarHttp;

/// Sends by the binding that the destination names.
#[derive(Default)]
pub(crate) struct OutboundRoutes {
    /// For `http` and `https` URLs.
    pub(crate) http: Option<Arc<dyn Outbound>>,
    /// For `mqtt` and `mqtts` URLs and for entities on our own broker.
    pub(crate) mqtt: Option<Arc<dyn Outbound>>,
    /// For the registrar: at brokers that we are clients of because of it, and over HTTP where it has to know us.
    pub(crate) registrar: RegistrarLinks,
}

/// Ways to the registrar on which it knows us. Only requests to the registrar itself take them: nobody else is to use
/// our credentials there.
#[derive(Default)]
pub(crate) struct RegistrarLinks {
    /// CSE-ID of the registrar.
    pub(crate) registrar: Text,
    /// By the point of access that each leads to.
    pub(crate) links: Vec<(Text, Arc<dyn Outbound>)>,
}

impl RegistrarLinks {
    fn to(&self, destination: &Destination) -> Option<&Arc<dyn Outbound>> {
        let Destination::PointOfAccess { url, entity } = destination else { return None };
        let mut links = self.links.iter().filter(|(point, _)| point == url && *entity == self.registrar);
        links.next().map(|(_, link)| link)
    }
}

impl OutboundRoutes {
    fn route(&self, destination: &Destination) -> Option<&Arc<dyn Outbound>> {
        if let Some(link) = self.registrar.to(destination) {
            return Some(link);
        }
        let binding = match destination.url() {
            None => &self.mqtt,
            Some(url) => match url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
                Some("http" | "https") => &self.http,
                Some("mqtt" | "mqtts") => &self.mqtt,
                _ => &None,
            },
        };
        binding.as_ref().filter(|binding| binding.reaches(destination))
    }
}

impl Outbound for OutboundRoutes {
    fn reaches(&self, destination: &Destination) -> bool {
        self.route(destination).is_some()
    }

    fn send(&self, request: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        match self.route(&request.destination) {
            Some(binding) => binding.send(request),
            None => {
                let destination = request.destination.as_str().to_owned();
                Box::pin(async move { Err(SendError::Unsupported(destination)) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reaches everything but destinations that contain `elsewhere`, and names itself when asked to send.
    struct Named(&'static str);

    impl Outbound for Named {
        fn reaches(&self, destination: &Destination) -> bool {
            !destination.as_str().contains("elsewhere")
        }

        fn send(&self, _: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
            let name = self.0;
            Box::pin(async move { Err(SendError::Unreachable(name.into())) })
        }
    }

    #[test]
    fn the_destination_decides() {
        let routes = OutboundRoutes {
            http: Some(Arc::new(Named("http"))),
            mqtt: Some(Arc::new(Named("mqtt"))),
            registrar: RegistrarLinks::default(),
        };
        let url = |text: &str| Destination::Url(text.into());
        let http = routes.http.as_ref().expect("given");
        let mqtt = routes.mqtt.as_ref().expect("given");
        for (destination, expected) in [
            (url("http://x/y"), Some(http)),
            (url("HTTPS://x"), Some(http)),
            (url("mqtt://x:1883"), Some(mqtt)),
            (url("mqtts://x"), Some(mqtt)),
            (Destination::PointOfAccess { url: "http://x".into(), entity: "Cx".into() }, Some(http)),
            (Destination::PointOfAccess { url: "mqtt://x".into(), entity: "Cx".into() }, Some(mqtt)),
            (Destination::MqttEntity("Cx".into()), Some(mqtt)),
            (url("http://elsewhere"), None),
            (url("coap://x"), None),
            (url("http:x"), None),
        ] {
            let route = routes.route(&destination);
            assert!(
                match (route, expected) {
                    (Some(found), Some(expected)) => Arc::ptr_eq(found, expected),
                    (None, None) => true,
                    _ => false,
                },
                "{destination:?}"
            );
            assert_eq!(routes.reaches(&destination), expected.is_some());
        }
    }

    #[test]
    fn only_the_registrar_is_reached_over_its_links() {
        let link: Arc<dyn Outbound> = Arc::new(Named("link"));
        let links = vec![("mqtt://in.example".into(), Arc::clone(&link))];
        let registrar = RegistrarLinks { registrar: "/id-in".into(), links };
        let routes = OutboundRoutes { registrar, ..OutboundRoutes::default() };
        let point = |url: &str, entity: &str| Destination::PointOfAccess { url: url.into(), entity: entity.into() };
        for (destination, expected) in [
            (point("mqtt://in.example", "/id-in"), true),
            (point("mqtt://in.example", "/id-in/Cx"), false),
            (point("mqtt://in.example", "Cx"), false),
            (point("mqtt://in.example:1884", "/id-in"), false),
            (Destination::Url("mqtt://in.example".into()), false),
            (Destination::MqttEntity("/id-in".into()), false),
        ] {
            assert_eq!(routes.reaches(&destination), expected, "{destination:?}");
        }
    }

    #[test]
    fn without_a_binding_nothing_is_reached() {
        let routes = OutboundRoutes::default();
        assert!(!routes.reaches(&Destination::Url("http://x".into())));
        assert!(!routes.reaches(&Destination::MqttEntity("Cx".into())));
    }
}
