from dialogue_ser.report.sections.composition import Section, compose


def test_a_page_has_the_named_sections_in_order_without_those_that_have_nothing_to_show() -> None:
    makers = {name: lambda subject, name=name: Section(template=name, context={}) for name in ("a", "b", "c", "d")}
    makers["b"] = lambda subject: None
    composed = compose(("d", "b", "a"), makers, None)  # type: ignore[arg-type]
    assert [(name, section.template) for name, section in composed.items()] == [("d", "d"), ("a", "a")]
