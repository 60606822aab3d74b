"""Stand-ins for what the lab cannot have: a model provider and Telegram. Mocks, and named so."""
