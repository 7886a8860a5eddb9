//! The deployment as a program: the commands of `hansang`, and everything that
//! `up` brings along so that a newcomer needs nothing else. Decides where and
//! with what the services run; knows nothing of what they do.

mod admin;
pub mod cli;
pub(crate) mod console;
pub mod data_dir;
mod databases;
mod demo;
mod healthcheck;
pub mod keys;
pub mod load;
pub mod logins;
mod operate;
mod options;
mod passwords;
mod processes;
pub mod provision;
pub mod rest;
pub mod run;
mod signals;
mod split;
mod token;
mod up;
pub mod verify;
