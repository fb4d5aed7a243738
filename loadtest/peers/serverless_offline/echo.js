// The reply is the message.
exports.handler = async (event) => ({ statusCode: 200, body: event.body });
