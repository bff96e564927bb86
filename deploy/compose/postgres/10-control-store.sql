-- Runs once, when the server's data directory is new.
CREATE DATABASE tandem;
