pub struct HttpOutbound;
