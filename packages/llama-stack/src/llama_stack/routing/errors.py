"""What can be wrong with a configuration of providers and routes. These stop a start; no client ever sees them."""

from __future__ import annotations


class RoutingConfigError(Exception):
    """Base. The message names the place in the configuration and the fix."""


class ProviderTypeUnknown(RoutingConfigError):
    """No provider of this API has this type."""


class ProviderModuleInvalid(RoutingConfigError):
    """A module that is to bring providers is missing, or brings none."""


class RegisteredResourceInvalid(RoutingConfigError):
    """A registered resource names a provider that is not there, is not allowed, or takes a name twice."""


class ProviderRefused(RoutingConfigError):
    """A provider entry that cannot be opened: its config does not fit, or something that it needs is not there."""
