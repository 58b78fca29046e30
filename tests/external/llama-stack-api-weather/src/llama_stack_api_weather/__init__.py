"""The weather API: its protocol, its providers, its routes."""

from llama_stack_api_weather.weather import WeatherProvider, available_providers, create_router

__all__ = ["WeatherProvider", "available_providers", "create_router"]
