from llama_stack_api import Api, InlineProviderSpec, ProviderSpec, RemoteProviderSpec

HOME = "llama_stack_provider_former"


def get_provider_spec() -> list[ProviderSpec]:
    return [
        RemoteProviderSpec(
            api=Api.inference,
            provider_type="remote::former",
            adapter_type="former",
            module=f"{HOME}.inference",
            config_class=f"{HOME}.config.InferenceConfig",
            provider_data_validator=f"{HOME}.config.FormerProviderData",
            pip_packages=["httpx"],
            deprecation_warning=None,
        ),
        InlineProviderSpec(
            api=Api.vector_io,
            provider_type="inline::former-vectors",
            module=f"{HOME}.vectors",
            config_class=f"{HOME}.config.NoConfig",
            api_dependencies=[Api.inference],
        ),
        InlineProviderSpec(
            api=Api.safety,
            provider_type="inline::former-guard",
            module=f"{HOME}.guard",
            config_class=f"{HOME}.config.GuardConfig",
            api_dependencies=[Api.inference],
            optional_api_dependencies=[Api.files],
        ),
        InlineProviderSpec(
            api=Api.tool_runtime,
            provider_type="inline::former-search",
            module=f"{HOME}.tools",
            config_class=f"{HOME}.config.NoConfig",
            toolgroup_id="builtin::websearch",
            api_dependencies=[Api.safety, Api.models],
        ),
        InlineProviderSpec(
            api=Api.files,
            provider_type="inline::former-files",
            module=f"{HOME}.files",
            config_class=f"{HOME}.config.FilesConfig",
        ),
    ]
