//! Doors to the agent: the socket API and the command line. They know requests, never the kernel.
