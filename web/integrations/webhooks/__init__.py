"""The merchant's own systems are told what happens, by signed requests to addresses of their choice."""
